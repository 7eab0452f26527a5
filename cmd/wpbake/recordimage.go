package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/ami"
	"github.com/wpbake/wpbake/internal/owner"
)

func (c *cli) recordImageCommand() *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use:    "record-image VERSION REGION:IMAGE...",
		Short:  "Write images of a release down beside it",
		Long:   `What Packer's post-processor wpbake-image runs, whoever runs Packer.`,
		Hidden: true,
		Example: `  eval "$(wpbake local env)"
  wpbake record-image v1 eu-central-1:ami-… --digest sha256:… --store s3://releases/shop`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(cmd, errors.New("missing VERSION or REGION:IMAGE"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			v, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			d, err := artifact.ParseDigest(digest)
			if err != nil {
				return usage(cmd, err)
			}
			ids := map[string]string{}
			for _, arg := range args[1:] {
				region, id, ok := strings.Cut(arg, ":")
				if !ok || !strings.HasPrefix(id, "ami-") {
					return usage(cmd, fmt.Errorf("%q: want REGION:IMAGE", arg))
				}
				ids[region] = id
			}
			return c.recordImages(cmd.Context(), cfg, owner.Tags{Version: string(v), Manifest: string(d), Store: cfg.Store}, ids)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	cmd.Flags().StringVar(&digest, "digest", "", "the release's `DIGEST`, which the images must carry as a tag")
	return cmd
}

func (c *cli) recordImages(ctx context.Context, cfg Config, m owner.Tags, ids map[string]string) error {
	if err := cfg.need("store"); err != nil {
		return err
	}
	clients, store, err := openWithAWS(ctx, cfg)
	if err != nil {
		return err
	}
	found, err := ami.Find(ctx, clients.Images(), m, ids)
	if err != nil {
		return err
	}
	type recorded struct {
		Region string `json:"region"`
		Image  string `json:"image"`
	}
	var all []recorded
	for _, one := range found {
		if err := ami.Write(ctx, store, artifact.Version(m.Version), one); err != nil {
			return err
		}
		c.say("recorded %s in %s", one.ID, one.Region)
		all = append(all, recorded{one.Region, one.ID})
	}
	return c.object(struct {
		Version artifact.Version `json:"version"`
		Images  []recorded       `json:"images"`
	}{artifact.Version(m.Version), all})
}
