package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/ocistore"
)

type publishOptions struct {
	build buildOptions // what to build, unless from says where it was built
	from  string
}

func (c *cli) publishCommand() *cobra.Command {
	var o publishOptions
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
		Args:    words("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			v, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			if err := cfg.need("store"); err != nil {
				return err
			}
			if err := c.checkBase(cfg); err != nil {
				return err
			}
			if o.from == "" {
				if err := cfg.need("tree"); err != nil {
					return err
				}
			}
			o.build = c.toBuild(cfg, v)
			return c.publish(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, slices.Concat(treeKeys, storeKeys, []string{"base_image"})...)
	cmd.Flags().StringVar(&o.from, "from", "", "publish what wpbake build --out `DIR` wrote")
	return cmd
}

// checkBase refuses a base image where there are no images. In a file it may
// stand for the times when the store is a registry.
func (c *cli) checkBase(cfg Config) error {
	u, err := parseStore(cfg.Store)
	if err != nil {
		return err
	}
	if base := c.overrides["base_image"]; base != "" && u.repository == "" {
		return &usageError{
			err:  fmt.Errorf("--base-image %q: the store %q holds no images", base, cfg.Store),
			hint: "leave it out, or --store oci://HOST/REPO",
		}
	}
	if u.repository == "" {
		return nil
	}
	if err := ocistore.Check(ocistore.Options{Repository: u.repository, Base: cfg.BaseImage}); err != nil {
		return &usageError{err: err, hint: "--base-image php:8.3-fpm"}
	}
	return nil
}

func (c *cli) publish(ctx context.Context, cfg Config, o publishOptions) error {
	if o.from == "" {
		if err := checkTree(o.build.tree); err != nil {
			return err
		}
	}
	store, err := openReleases(ctx, cfg)
	if err != nil {
		return err
	}
	var p artifact.Published
	if o.from != "" {
		p, err = c.put(ctx, store, o.from+"/"+artifact.ReleasePrefix(o.build.version))
	} else {
		if o.build.carry, err = c.carryFrom(ctx, cfg, store, o.build.version); err != nil {
			return err
		}
		p, err = c.buildAndPut(ctx, store, o.build)
	}
	if err != nil {
		return err
	}
	if p.Created {
		c.say("published %s %s", o.build.version, p.Digest)
	} else {
		c.say("%s is already published with the same bytes, %s", o.build.version, p.Digest)
	}
	return c.object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Created  bool             `json:"created"`
	}{o.build.version, p.Digest, p.Created})
}

// buildAndPut publishes a tree while it is built.
func (c *cli) buildAndPut(ctx context.Context, store artifact.ReleaseStore, o buildOptions) (p artifact.Published, err error) {
	m := c.meter()
	defer m.close()
	err = c.fromTree(ctx, o, func(build artifact.BuildOptions) error {
		build.Progress = m.update
		p, err = artifact.PublishTree(ctx, store, build)
		return err
	})
	c.forgot(p.Forgot)
	return p, err
}

func (c *cli) put(ctx context.Context, store artifact.ReleaseStore, dir string) (artifact.Published, error) {
	m := c.meter()
	defer m.close()
	return artifact.Publish(ctx, store, dir, m.update)
}
