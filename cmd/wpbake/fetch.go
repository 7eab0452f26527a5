package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

type fetchOptions struct {
	version artifact.Version
	digest  artifact.Digest
	dest    string
}

func (c *cli) fetchCommand() *cobra.Command {
	var o fetchOptions
	var digest string
	cmd := &cobra.Command{
		Use:   "fetch VERSION DEST",
		Short: "Unpack a published version, verified",
		Long: `Fetches a version into the directory DEST, which must not exist. Every byte is
verified first; DEST appears whole or not at all. DEST then holds wordpress/
and, in .wpbake/, the list of files.`,
		Example: `  eval "$(wpbake local env)"
  wpbake fetch v1 ./v1 --store s3://releases/shop
  wpbake fetch v1 ./v1 --store oci://localhost:5000/shop`,
		GroupID:           groupArtifact,
		Args:              words("VERSION", "DEST"),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if o.version, err = parseVersion(cmd, args[0]); err != nil {
				return err
			}
			if o.digest, err = optionalDigest(cmd, digest); err != nil {
				return err
			}
			o.dest = args[1]
			return c.fetch(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	cmd.Flags().StringVar(&digest, "digest", "", "accept only the manifest with this `DIGEST`")
	return cmd
}

func (c *cli) fetch(ctx context.Context, cfg Config, o fetchOptions) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	m := c.meter()
	manifest, err := artifact.Fetch(ctx, store, artifact.FetchOptions{
		Version: o.version, Digest: o.digest, Dest: o.dest, Progress: m.update,
	})
	m.close()
	if err != nil {
		return err
	}
	digest := manifest.Digest()
	c.say("fetched %s %s into %s", o.version, digest, o.dest)
	return c.object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Dest     string           `json:"dest"`
	}{o.version, digest, o.dest})
}
