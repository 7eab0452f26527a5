package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/source"
	"github.com/wpbake/wpbake/wordpress"
)

type buildOptions struct {
	version artifact.Version
	tree    string
	exclude []string
	cache   string
	out     string
}

func (c *cli) buildCommand() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build VERSION",
		Short: "Make an artifact of a tree, on disk",
		Long: `Makes the artifact of a WordPress tree. The same tree gives the same bytes,
whoever builds it and wherever. DIR can be read as a store: dir:///DIR.

A tree is a directory; an archive (zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst),
whose one top-level directory, if it has but one, is left out; or git:PATH@REV,
a revision of a local git repository, as it was committed.`,
		Example: `  wpbake build v1 --tree ./site --out ./dist
  wpbake build v2 --tree wordpress-6.8.3.zip --out ./dist
  wpbake build v3 --tree git:.@HEAD --out ./dist
  tar --zstd -tf ./dist/releases/v1/wordpress.tar.zst`,
		GroupID: groupArtifact,
		Args:    words("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.version, err = parseVersion(cmd, args[0]); err != nil {
				return err
			}
			cfg, err := c.config()
			if err != nil {
				return err
			}
			o.tree, o.exclude, o.cache = cfg.Tree, cfg.Exclude, c.cacheDir(cfg)
			if err := cfg.need("tree"); err != nil {
				return err
			}
			return c.build(cmd.Context(), o)
		},
	}
	c.settingFlags(cmd, treeKeys...)
	cmd.Flags().StringVar(&o.out, "out", "dist", "the `DIR` to write into")
	return cmd
}

func (c *cli) build(ctx context.Context, o buildOptions) error {
	built, err := c.makeArtifact(ctx, o)
	if err != nil {
		return err
	}
	c.say("built %s %s in %s", o.version, built.Digest, built.Dir)
	return c.object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Size     int64            `json:"size"`
		Dir      string           `json:"dir"`
	}{o.version, built.Digest, built.Manifest.Artifact.Size, built.Dir})
}

// checkTree refuses what is no tree before anything else is done.
func checkTree(tree string) error {
	err := source.Check(tree)
	var refused *source.Refused
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &usageError{err: fmt.Errorf("no tree %q", tree), hint: "--tree DIR names the directory that holds wp-includes"}
	case errors.As(err, &refused):
		return &usageError{err: err, hint: refused.Hint()}
	case err != nil:
		return fmt.Errorf("reading tree %q: %w", tree, err)
	}
	return nil
}

// tree opens what is to be built, and says how. done is called when it was.
func (c *cli) tree(ctx context.Context, o buildOptions) (_ artifact.BuildOptions, done func() error, err error) {
	if err := checkTree(o.tree); err != nil {
		return artifact.BuildOptions{}, nil, err
	}
	dir, done, err := source.Open(ctx, o.tree)
	if err != nil {
		return artifact.BuildOptions{}, nil, err
	}
	return artifact.BuildOptions{
		Tree: dir, Out: o.out, Version: o.version, Describe: describer(o, dir),
		Exclude: append(artifact.DefaultExclude(), o.exclude...),
		Cache:   o.cache, CacheName: cacheName(o.tree, dir),
	}, done, nil
}

// describer looks at a tree as WordPress.
func describer(o buildOptions, dir string) *artifact.Describer {
	return &artifact.Describer{
		Name: programStamp(),
		Describe: func(context.Context) (artifact.Description, error) {
			site, err := wordpress.Inspect(os.DirFS(dir))
			if err != nil {
				return artifact.Description{}, fmt.Errorf("reading tree %q: %w", o.tree, err)
			}
			sbom, err := wordpress.SBOM(os.DirFS(dir), o.version, site)
			if err != nil {
				return artifact.Description{}, fmt.Errorf("reading tree %q: %w", o.tree, err)
			}
			return artifact.Description{WordPress: &site, SBOM: sbom}, nil
		},
	}
}

// programStamp tells this program from others that may describe a tree
// differently; it is empty where that cannot be told.
func programStamp() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano())
}

// makeArtifact builds the tree on disk.
func (c *cli) makeArtifact(ctx context.Context, o buildOptions) (built artifact.Built, err error) {
	build, done, err := c.tree(ctx, o)
	if err != nil {
		return artifact.Built{}, err
	}
	defer func() { err = errors.Join(err, done()) }()
	m := c.meter()
	defer m.close()
	build.Progress = m.update
	built, err = artifact.Build(ctx, build)
	c.forgot(built.Forgot)
	return built, err
}

func (c *cli) forgot(why error) {
	if why != nil {
		c.note("the next build will be slow: %v", why)
	}
}
