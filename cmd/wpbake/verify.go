package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/scratch"
)

type verifyOptions struct {
	version artifact.Version
	digest  artifact.Digest
	deep    bool
}

func (c *cli) verifyCommand() *cobra.Command {
	var o verifyOptions
	var digest string
	cmd := &cobra.Command{
		Use:   "verify VERSION",
		Short: "Read a published version whole and check every byte",
		Long: `Reads a version from the store and compares manifest, artifact, index, each
frame and each file with their digests. It writes nothing. --deep unpacks the
version as a node does as well, and compares the directory file by file.`,
		Example: `  eval "$(wpbake local env)"
  wpbake verify v1 --store s3://releases/shop
  wpbake verify v1 --store s3://releases/shop --deep
  wpbake verify v1 --store oci://localhost:5000/shop --digest sha256:…`,
		GroupID:           groupLook,
		Args:              words("VERSION"),
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
			return c.verify(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, storeKeys...)
	cmd.Flags().BoolVar(&o.deep, "deep", false, "also unpack it as a node does, and compare the directory")
	cmd.Flags().StringVar(&digest, "digest", "", "accept only the manifest with this `DIGEST`")
	return cmd
}

// optionalDigest parses a digest flag; empty stays empty.
func optionalDigest(cmd *cobra.Command, s string) (artifact.Digest, error) {
	if s == "" {
		return "", nil
	}
	d, err := artifact.ParseDigest(s)
	if err != nil {
		return "", usage(cmd, err)
	}
	return d, nil
}

func (c *cli) verify(ctx context.Context, cfg Config, o verifyOptions) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	m, err := artifact.Verify(ctx, store, o.version, o.digest)
	if err != nil {
		return err
	}
	if o.deep {
		if err := unpackAndCheck(ctx, store, m); err != nil {
			return err
		}
	}
	c.say("verified %s %s: every byte is as it was built", o.version, m.Digest())
	return c.object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Deep     bool             `json:"deep"`
		Verified bool             `json:"verified"`
	}{o.version, m.Digest(), o.deep, true})
}

// unpackAndCheck does on this machine what a node does.
func unpackAndCheck(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) error {
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return err
	}
	defer own.Remove()
	// The scratch directory itself is locked by us, and Fetch locks the one
	// that it unpacks in.
	dest := filepath.Join(own.Path, "unpacked", string(m.Version))
	if _, err := artifact.Fetch(ctx, store, artifact.FetchOptions{Version: m.Version, Digest: m.Digest(), Dest: dest}); err != nil {
		return err
	}
	return artifact.Check(dest, m)
}
