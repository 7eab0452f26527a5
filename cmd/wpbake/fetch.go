package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/scratch"
)

type fetchOptions struct {
	version  artifact.Version
	manifest artifact.Digest // empty takes the store's
	dest     string
	as       fetch.Form
	base     string
	keep     string
}

func newFetchCommand(e *env) *cobra.Command {
	var o fetchOptions
	var as string
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
  wpbake fetch v1 ./v1 --store oci://localhost:5000/shop --manifest sha256:…
  wpbake fetch v1 ./v1.erofs --as erofs --keep v1.tar.zst
  wpbake fetch v2 ./v2.erofs --as erofs --base v1.tar.zst`,
		GroupID:           groupArtifact,
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) (err error) {
			o.version, o.dest = in.version(), in.args[1]
			if o.as, err = parseForm(as); err != nil {
				return in.usage(err)
			}
			store, err := readReleases(ctx, in.cfg)
			if err != nil {
				return err
			}
			return runFetch(ctx, e.out, store, o)
		}),
	}
	e.settings.AddFlags(cmd, storeKeys()...)
	f := cmd.Flags()
	manifestFlag(cmd, &o.manifest)
	f.StringVar(&as, "as", string(fetch.AsDirectory), "what DEST becomes: `dir|erofs`")
	f.StringVar(&o.base, "base", "", "take what has not changed from this `OLD.tar.zst`")
	f.StringVar(&o.keep, "keep", "", "also keep the artifact itself as `FILE`, a --base for later")
	return cmd
}

func parseForm(s string) (fetch.Form, error) {
	switch f := fetch.Form(s); f {
	case fetch.AsDirectory, fetch.AsImage:
		return f, nil
	}
	return "", fmt.Errorf("--as %q: want %s or %s", s, fetch.AsDirectory, fetch.AsImage)
}

func runFetch(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, o fetchOptions) error {
	defer fetchLimits().apply()()
	m := cli.NewMeter(out)
	got, err := fetch.Release(ctx, store, fetch.Options{
		Version: o.version, Digest: o.manifest, Dest: o.dest, As: o.as, Base: o.base, Keep: o.keep, Progress: m.Update,
	})
	m.Close()
	if err != nil {
		return err
	}
	digest := got.Manifest.Digest()
	out.Say("fetched %s %s into %s", o.version, digest, o.dest)
	if o.base != "" {
		out.Say("%s of %s were downloaded, %s came from %s",
			cli.Size(got.Downloaded), cli.Size(got.Manifest.Artifact.Size), cli.Size(got.Reused), o.base)
	}
	return out.Object(struct {
		Version    artifact.Version `json:"version"`
		Manifest   artifact.Digest  `json:"manifest"`
		Dest       string           `json:"dest"`
		As         fetch.Form       `json:"as"`
		Downloaded int64            `json:"downloaded"` // bytes; 0 when DEST stood there
		Reused     int64            `json:"reused"`     // bytes, from the base
	}{o.version, digest, o.dest, o.as, got.Downloaded, got.Reused})
}

type verifyOptions struct {
	version  artifact.Version
	manifest artifact.Digest // empty takes the store's
	deep     bool
}

func newVerifyCommand(e *env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify VERSION",
		Short: "Read a published version whole and check every byte",
		Long: `Reads a version from the store and compares manifest, artifact, index, each
frame and each file with their digests. It writes nothing. --deep unpacks the
version as a node does as well, and compares the directory file by file.

That proves that the version is consistent with itself: who can write the store
can write another one that is. --manifest names which one is meant.`,
		Example: `  eval "$(wpbake local env)"
  wpbake verify v1 --store s3://releases/shop
  wpbake verify v1 --store s3://releases/shop --deep
  wpbake verify v1 --store oci://localhost:5000/shop --manifest sha256:…`,
		GroupID:           groupLook,
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) (err error) {
			o.version = in.version()
			store, err := readReleases(ctx, in.cfg)
			if err != nil {
				return err
			}
			return runVerify(ctx, e.out, store, o)
		}),
	}
	e.settings.AddFlags(cmd, storeKeys()...)
	cmd.Flags().BoolVar(&o.deep, "deep", false, "also unpack it as a node does, and compare the directory")
	manifestFlag(cmd, &o.manifest)
	return cmd
}

func runVerify(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, o verifyOptions) error {
	m, err := fetch.Verify(ctx, store, o.version, o.manifest)
	if err != nil {
		return err
	}
	if o.deep {
		if err := unpackAndCheck(ctx, store, m); err != nil {
			return err
		}
	}
	proved := "every byte is of the release that --manifest names"
	if o.manifest == "" {
		proved = "consistent with itself; --manifest or a template version names which digest is right"
	}
	out.Say("verified %s %s: %s", o.version, m.Digest(), proved)
	return out.Object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Named    bool             `json:"named"` // by --manifest; else it is the store's own
		Deep     bool             `json:"deep"`
		Verified bool             `json:"verified"`
	}{o.version, m.Digest(), o.manifest != "", o.deep, true})
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
	if _, err := fetch.Release(ctx, store, fetch.Options{Version: m.Version, Digest: m.Digest(), Dest: dest}); err != nil {
		return err
	}
	return fetch.Check(dest, m)
}
