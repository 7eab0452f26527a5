package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

type fetchOptions struct {
	version artifact.Version
	digest  artifact.Digest
	dest    string
	as      artifact.Form
	base    string
	keep    string
}

func (c *cli) fetchCommand() *cobra.Command {
	var o fetchOptions
	var digest, as string
	cmd := &cobra.Command{
		Use:   "fetch VERSION DEST",
		Short: "Unpack a published version, verified",
		Long: `Fetches a version to DEST, which must not exist. Every byte is verified first;
DEST appears whole or not at all. As a directory it then holds wordpress/ and,
in .wpbake/, the list of files. As an image it is one file that Linux mounts
read-only: mount -t erofs DEST DIR.

With an older artifact at hand only what differs is downloaded.`,
		Example: `  eval "$(wpbake local env)"
  wpbake fetch v1 ./v1 --store s3://releases/shop
  wpbake fetch v1 ./v1 --store oci://localhost:5000/shop
  wpbake fetch v1 ./v1.erofs --as erofs --keep v1.tar.zst
  wpbake fetch v2 ./v2.erofs --as erofs --base v1.tar.zst`,
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
			if o.as, err = parseForm(cmd, as); err != nil {
				return err
			}
			o.dest = args[1]
			return c.fetch(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	f := cmd.Flags()
	f.StringVar(&digest, "digest", "", "accept only the manifest with this `DIGEST`")
	f.StringVar(&as, "as", string(artifact.AsDirectory), "what DEST becomes: `dir|erofs`")
	f.StringVar(&o.base, "base", "", "take what has not changed from this `OLD.tar.zst`")
	f.StringVar(&o.keep, "keep", "", "also keep the artifact itself as `FILE`, a --base for later")
	return cmd
}

func parseForm(cmd *cobra.Command, s string) (artifact.Form, error) {
	switch f := artifact.Form(s); f {
	case artifact.AsDirectory, artifact.AsImage:
		return f, nil
	}
	return "", usage(cmd, fmt.Errorf("--as %q: want %s or %s", s, artifact.AsDirectory, artifact.AsImage))
}

func (c *cli) fetch(ctx context.Context, cfg Config, o fetchOptions) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	defer fetchMemory.bound()()
	m := c.meter()
	got, err := artifact.Fetch(ctx, store, artifact.FetchOptions{
		Version: o.version, Digest: o.digest, Dest: o.dest, As: o.as, Base: o.base, Keep: o.keep, Progress: m.update,
	})
	m.close()
	if err != nil {
		return err
	}
	digest := got.Manifest.Digest()
	c.say("fetched %s %s into %s", o.version, digest, o.dest)
	if o.base != "" {
		c.say("%s of %s were downloaded, %s came from %s",
			size(got.Downloaded), size(got.Manifest.Artifact.Size), size(got.Reused), o.base)
	}
	return c.object(struct {
		Version    artifact.Version `json:"version"`
		Manifest   artifact.Digest  `json:"manifest"`
		Dest       string           `json:"dest"`
		As         artifact.Form    `json:"as"`
		Downloaded int64            `json:"downloaded"` // bytes; 0 when DEST stood there
		Reused     int64            `json:"reused"`     // bytes, from the base
	}{o.version, digest, o.dest, o.as, got.Downloaded, got.Reused})
}
