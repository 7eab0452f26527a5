package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

type verifyOptions struct {
	version artifact.Version
	digest  artifact.Digest
}

func (c *cli) verifyCommand() *cobra.Command {
	var o verifyOptions
	var digest string
	cmd := &cobra.Command{
		Use:   "verify VERSION",
		Short: "Read a published version whole and check every byte",
		Example: `  eval "$(wpbake local env)"
  wpbake verify v1 --store s3://releases/shop`,
		GroupID: groupLook,
		Args:    words("VERSION"),
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
	store, err := openStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	_, digest, err := find(ctx, store, o.version)
	if err != nil {
		return err
	}
	if o.digest == "" {
		o.digest = digest
	}
	if _, err := artifact.Verify(ctx, store, o.version, o.digest); err != nil {
		return err
	}
	c.say("verified %s %s: every byte is as it was built", o.version, o.digest)
	return c.object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Verified bool             `json:"verified"`
	}{o.version, o.digest, true})
}

// find is artifact.Find with a word on what to do about an absent version.
func find(ctx context.Context, store artifact.Store, v artifact.Version) (artifact.Manifest, artifact.Digest, error) {
	m, d, err := artifact.Find(ctx, store, v)
	if errors.Is(err, artifact.ErrNotFound) {
		err = &hintedError{err: fmt.Errorf("version %q is not published in this store", v), hint: "wpbake show lists what is"}
	}
	return m, d, err
}
