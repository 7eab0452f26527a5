package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
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
are left as they are, other bytes are refused.`,
		Example: `  eval "$(wpbake local env)"
  wpbake publish v1 --tree ./site --store s3://releases/shop`,
		GroupID: groupArtifact,
		Args:    words("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if o.build.version, err = parseVersion(cmd, args[0]); err != nil {
				return err
			}
			if err := cfg.need("store"); err != nil {
				return err
			}
			if o.from == "" {
				if err := cfg.need("tree"); err != nil {
					return err
				}
			}
			o.build.tree, o.build.exclude, o.build.cache = cfg.Tree, cfg.Exclude, c.cacheDir(cfg)
			return c.publish(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, slices.Concat(treeKeys, storeKeys)...)
	cmd.Flags().StringVar(&o.from, "from", "", "publish what wpbake build --out `DIR` wrote")
	return cmd
}

func (c *cli) publish(ctx context.Context, cfg Config, o publishOptions) error {
	if o.from == "" {
		if err := checkTree(o.build.tree); err != nil {
			return err
		}
	}
	store, err := openStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	var p artifact.Published
	if o.from != "" {
		p, err = c.put(ctx, store, o.from+"/"+artifact.ReleasePrefix(o.build.version))
	} else {
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

// buildAndPut publishes a tree by way of a scratch directory.
func (c *cli) buildAndPut(ctx context.Context, store artifact.Store, o buildOptions) (artifact.Published, error) {
	dir, err := os.MkdirTemp("", "wpbake-")
	if err != nil {
		return artifact.Published{}, fmt.Errorf("making a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir)
	o.out = dir
	built, err := c.makeArtifact(ctx, o)
	if err != nil {
		return artifact.Published{}, err
	}
	return c.put(ctx, store, built.Dir)
}

func (c *cli) put(ctx context.Context, store artifact.Store, dir string) (artifact.Published, error) {
	m := c.meter()
	defer m.close()
	return artifact.Publish(ctx, store, dir, m.update)
}
