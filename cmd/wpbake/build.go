package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/source"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/rules"
)

type buildOptions struct {
	version artifact.Version
	tree    string
	exclude []string
	cache   string
	check   cli.CheckConfig
	waivers []rules.Waiver
	out     string
	carry   *carrySource      // nil carries nothing over
	carried wordpress.Carried // of it, into this tree
}

// builder makes artifacts of the configured tree.
type builder struct {
	out  *cli.Output
	open opener
	cfg  cli.Config
}

func (e *env) builder(cfg cli.Config) builder { return builder{out: e.out, open: e.open, cfg: cfg} }

// options are what the configuration says of a build.
func (b builder) options(v artifact.Version) buildOptions {
	return buildOptions{
		version: v, tree: b.cfg.Tree, exclude: b.cfg.Exclude, cache: b.cfg.Cache, check: b.cfg.Check, waivers: b.cfg.Waivers,
	}
}

func (o buildOptions) checked() checkedTree {
	return checkedTree{spec: o.tree, exclude: o.exclude, check: o.check, waivers: o.waivers}
}

func newBuildCommand(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build VERSION",
		Short: "Make an artifact of a tree, on disk",
		Long: `Makes the artifact of a WordPress tree. The same tree gives the same bytes,
whoever builds it and wherever. DIR can be read as a store: dir:///DIR.

The tree is checked first, as wpbake check does; what blocks there is not built.

With --carry-assets v1 and a --store that has it, assets that v1 has and the
tree has no more stay for this release: pages of old nodes name them while both
serve.

A tree is a directory; an archive (zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst),
whose one top-level directory, if it has but one, is left out; or git:PATH@REV,
a revision of a local git repository, as it was committed.`,
		Example: `  wpbake build v1 --tree ./site --out ./dist
  wpbake build v2 --tree wordpress-6.8.3.zip --out ./dist
  wpbake build v3 --tree git:.@HEAD --out ./dist
  tar --zstd -tf ./dist/releases/v1/wordpress.tar.zst`,
		GroupID: groupArtifact,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			return runBuild(ctx, e.builder(in.cfg), in.version(), out)
		}, "tree"),
	}
	e.settings.AddFlags(cmd, slices.Concat(treeKeys(), storeKeys())...)
	cmd.Flags().StringVar(&out, "out", "dist", "the `DIR` to write into")
	return cmd
}

// carryIntoBuild needs a store only where something is carried over.
func (b builder) carryIntoBuild(ctx context.Context, v artifact.Version) (*carrySource, error) {
	if b.cfg.CarryAssets == "" {
		return nil, nil
	}
	store, err := openReleases(ctx, b.cfg)
	if err != nil {
		return nil, err
	}
	return b.carryFrom(ctx, store, v)
}

func runBuild(ctx context.Context, b builder, v artifact.Version, dir string) (err error) {
	o := b.options(v)
	o.out = dir
	if o.carry, err = b.carryIntoBuild(ctx, v); err != nil {
		return err
	}
	built, err := b.makeArtifact(ctx, o)
	if err != nil {
		return err
	}
	b.out.Say("built %s %s in %s", o.version, built.Digest, built.Dir)
	return b.out.Object(struct {
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
		return cli.Misuse(fmt.Errorf("no tree %q", tree), "--tree DIR names the directory that holds wp-includes")
	case errors.As(err, &refused):
		return cli.Misuse(err, refused.Hint())
	case err != nil:
		return fmt.Errorf("reading tree %q: %w", tree, err)
	}
	return nil
}

// fromTree opens what is to be built and has it built. A tree that no node
// could hold as it is, or that the check repairs, is checked; with repairs, or
// with assets of another release, a copy of it is built instead.
func (b builder) fromTree(ctx context.Context, o buildOptions, build func(build.Options) error) (err error) {
	defer buildLimits().apply()()
	if err := checkTree(o.tree); err != nil {
		return err
	}
	dir, done, err := source.Open(ctx, o.tree)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if o.carried, err = o.carry.apply(ctx, dir, o.excludes()); err != nil {
		return fmt.Errorf("carrying over assets: %w", err)
	}
	if v := viewCarried(o.carried); v != nil {
		b.out.Note("%s", v)
	}
	err = build(b.building(o, dir))
	var refused *tree.Refused
	var repair *copyNeeded
	switch {
	case errors.As(err, &repair):
		return b.fromRepaired(ctx, o, dir, repair.report, build)
	case errors.As(err, &refused):
		report, failed := examine(ctx, dir, os.DirFS(dir), o.checked())
		if failed != nil {
			return err
		}
		if blocked := admit(b.out, o.tree, report); blocked != nil {
			return blocked
		}
		if report.repairs() {
			return b.fromRepaired(ctx, o, dir, report, build)
		}
	}
	return err
}

// building says how the tree in dir is built.
func (b builder) building(o buildOptions, dir string) build.Options {
	return build.Options{
		Tree: dir, Out: o.out, Version: o.version, Describe: b.describer(o, dir),
		Exclude: o.excludes(),
		Cache:   o.cache, CacheName: cacheName(o.tree, dir),
	}
}

// excludes are the patterns of what a release leaves out.
func (o buildOptions) excludes() []string {
	return slices.Concat(tree.DefaultExcludes(), rules.NeverShipped(), o.exclude)
}

// describer checks a tree and looks at it as WordPress. A tree that is the one
// remembered passed before, by the same key; of another, only files that have
// changed are read and parsed for the check.
func (b builder) describer(o buildOptions, dir string) *build.Describer {
	return &build.Describer{
		Name: cacheKey(o, programStamp()),
		Describe: func(ctx context.Context, tree fs.FS, then build.Remembered) (build.Description, error) {
			checked := o.checked()
			checked.earlier = &rules.Previous{Notes: then.Notes, Unchanged: then.Unchanged}
			report, err := examine(ctx, dir, tree, checked)
			if err != nil {
				return build.Description{}, err
			}
			site, err := inspected(report.Site, tree)
			if err != nil {
				return build.Description{}, fmt.Errorf("reading tree %q: %w", o.tree, err)
			}
			if err := admit(b.out, o.tree, report); err != nil {
				return build.Description{}, err
			}
			if report.repairs() || len(o.carried.Files) > 0 {
				return build.Description{}, &copyNeeded{report}
			}
			d, err := describe(o, tree, site)
			d.Notes = report.Notes
			return d, err
		},
	}
}

// inspected is what a check found the tree to be, or why it is no WordPress.
func inspected(site *wordpress.Site, tree fs.FS) (artifact.WordPress, error) {
	if site == nil {
		return wordpress.Inspect(tree)
	}
	return site.WordPress, nil
}

func describe(o buildOptions, tree fs.FS, site artifact.WordPress) (build.Description, error) {
	sbom, err := wordpress.SBOM(tree, o.version, site)
	if err != nil {
		return build.Description{}, fmt.Errorf("reading tree %q: %w", o.tree, err)
	}
	if len(o.carried.Files) > 0 {
		if sbom, err = wordpress.CarriedSBOM(sbom, o.carried); err != nil {
			return build.Description{}, err
		}
	}
	return build.Description{WordPress: &site, SBOM: sbom}, nil
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
func (b builder) makeArtifact(ctx context.Context, o buildOptions) (built build.Built, err error) {
	m := cli.NewMeter(b.out)
	defer m.Close()
	err = b.fromTree(ctx, o, func(options build.Options) error {
		options.Progress = m.Update
		built, err = build.Build(ctx, options)
		return err
	})
	b.forgot(built.Forgot)
	return built, err
}

func (b builder) forgot(why error) {
	if why != nil {
		b.out.Note("the next build will be slow: %v", why)
	}
}

// cacheName names a tree that was unpacked into a scratch directory dir after
// where it comes from: the next archive of a folder and the next revision of a
// repository share most files with this one. A tree that is a directory goes
// by its path.
func cacheName(tree, dir string) string {
	if tree == dir {
		return ""
	}
	where := filepath.Dir(tree)
	if repository, ok := strings.CutPrefix(tree, "git:"); ok {
		where = repository[:max(0, strings.LastIndex(repository, "@"))]
	}
	abs, err := filepath.Abs(where)
	if err != nil {
		return ""
	}
	return "unpacked from " + abs
}
