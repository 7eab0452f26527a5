package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/ami"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
)

func newRecordImageCommand(e *env) *cobra.Command {
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
				return cli.Usage(cmd, errors.New("missing VERSION or REGION:IMAGE"))
			}
			return nil
		},
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			d, err := artifact.ParseDigest(digest)
			if err != nil {
				return in.usage(err)
			}
			ids, err := parseImages(in.args[1:])
			if err != nil {
				return in.usage(err)
			}
			clients, store, err := openWithAWS(ctx, in.cfg)
			if err != nil {
				return err
			}
			found, err := ami.Find(ctx, clients.Images(), owner.Tags{Version: string(in.version()), Manifest: string(d), Store: in.cfg.Store}, ids)
			if err != nil {
				return err
			}
			return runRecordImage(ctx, e.out, store, imagesOf{in.version(), found})
		}, "store"),
	}
	e.settings.AddFlags(cmd, storeKeys()...)
	cmd.Flags().StringVar(&digest, "digest", "", "the release's `DIGEST`, which the images must carry as a tag")
	return cmd
}

// parseImages reads REGION:IMAGE.
func parseImages(args []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, arg := range args {
		region, id, ok := strings.Cut(arg, ":")
		if !ok || !strings.HasPrefix(id, "ami-") {
			return nil, fmt.Errorf("%q: want REGION:IMAGE", arg)
		}
		ids[region] = id
	}
	return ids, nil
}

// imagesOf are images of a version.
type imagesOf struct {
	version artifact.Version
	images  []ami.Image
}

func runRecordImage(ctx context.Context, out *cli.Output, store artifact.Store, o imagesOf) error {
	type recorded struct {
		Region string `json:"region"`
		Image  string `json:"image"`
	}
	var all []recorded
	for _, one := range o.images {
		if err := ami.Write(ctx, store, o.version, one); err != nil {
			return err
		}
		out.Say("recorded %s in %s", one.ID, one.Region)
		all = append(all, recorded{one.Region, one.ID})
	}
	return out.Object(struct {
		Version artifact.Version `json:"version"`
		Images  []recorded       `json:"images"`
	}{o.version, all})
}
