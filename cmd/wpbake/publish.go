package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
)

// publishFrom is a version that was built before, into dir.
type publishFrom struct {
	version artifact.Version
	dir     string
}

func newPublishCommand(e *env) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "publish VERSION",
		Short: "Put an artifact into a store",
		Long: `Builds the tree and puts the artifact into the store; with --from, puts what
wpbake build --out DIR wrote. A published version never changes: equal bytes
are left as they are, other bytes are refused.

In a registry (oci://HOST/REPO) a version is a tag, and its artifact a layer:
alone, or on top of --base-image. docker login HOST saves the credentials.`,
		Example: `  eval "$(wpbake local env)"
  wpbake publish v1 --tree ./site --store s3://releases/shop
  wpbake publish v1 --tree ./site --store oci://localhost:5000/shop --base-image php:8.3-fpm`,
		GroupID: groupArtifact,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if err := checkBase(in.cfg, e.settings.ByFlag("base_image")); err != nil {
				return err
			}
			if from != "" {
				return runPublishFrom(ctx, e.out, in.cfg, publishFrom{in.version(), from})
			}
			if err := in.cfg.Need("tree"); err != nil {
				return err
			}
			return runPublish(ctx, e.builder(in.cfg), in.version())
		}, "store"),
	}
	e.settings.AddFlags(cmd, slices.Concat(treeKeys(), storeKeys(), []string{"base_image"})...)
	cmd.Flags().StringVar(&from, "from", "", "publish what wpbake build --out `DIR` wrote")
	return cmd
}

func runPublish(ctx context.Context, b builder, v artifact.Version) error {
	if err := bake.CheckTree(b.cfg.Tree); err != nil {
		return err
	}
	store, err := openReleases(ctx, b.cfg)
	if err != nil {
		return err
	}
	carry, err := b.carryFrom(ctx, store, v)
	if err != nil {
		return err
	}
	built, err := b.publish(ctx, b.options(v, carry), store)
	if err != nil {
		return err
	}
	return sayPublished(b.out, v, build.Published{Digest: built.Digest, Created: built.Created})
}

func runPublishFrom(ctx context.Context, out *cli.Output, cfg cli.Config, from publishFrom) error {
	store, err := openReleases(ctx, cfg)
	if err != nil {
		return err
	}
	m := cli.NewMeter(out)
	p, err := build.Publish(ctx, store, from.dir+"/"+artifact.ReleasePrefix(from.version), m.Update)
	m.Close()
	if err != nil {
		return err
	}
	return sayPublished(out, from.version, p)
}

func sayPublished(out *cli.Output, v artifact.Version, p build.Published) error {
	if p.Created {
		out.Say("published %s %s", v, p.Digest)
	} else {
		out.Say("%s is already published with the same bytes, %s", v, p.Digest)
	}
	return out.Object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Created  bool             `json:"created"`
	}{v, p.Digest, p.Created})
}
