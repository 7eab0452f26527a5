package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress"
)

// builder makes artifacts of the configured tree.
type builder struct {
	out  *cli.Output
	open opener
	cfg  cli.Config
}

func (e *env) builder(cfg cli.Config) builder { return builder{out: e.out, open: e.open, cfg: cfg} }

// options are what the configuration says of a build.
func (b builder) options(v artifact.Version, carry *bake.Carry) bake.Options {
	return bake.Options{
		Tree: b.cfg.Tree, Version: v, Exclude: b.cfg.Exclude, Cache: b.cfg.Cache,
		Check: bake.Settings(b.cfg.Check), Waivers: b.cfg.Waivers, Carry: carry,
	}
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

func runBuild(ctx context.Context, b builder, v artifact.Version, dir string) error {
	carry, err := b.carryIntoBuild(ctx, v)
	if err != nil {
		return err
	}
	built, err := b.build(ctx, b.options(v, carry), dir)
	if err != nil {
		return err
	}
	b.out.Say("built %s %s in %s", v, built.Digest, built.Dir)
	return b.out.Object(struct {
		Version  artifact.Version `json:"version"`
		Manifest artifact.Digest  `json:"manifest"`
		Size     int64            `json:"size"`
		Dir      string           `json:"dir"`
	}{v, built.Digest, built.Manifest.Artifact.Size, built.Dir})
}

// build makes the artifact below a directory.
func (b builder) build(ctx context.Context, o bake.Options, dir string) (build.Built, error) {
	defer buildLimits().apply()()
	told := b.observer(o.Tree)
	defer told.Close()
	o.Observer = told
	built, err := bake.Build(ctx, o, dir)
	told.forgot(built.Forgot)
	return built, err
}

// publish puts the artifact into a store while it is made.
func (b builder) publish(ctx context.Context, o bake.Options, store artifact.ReleaseStore) (build.Built, error) {
	defer buildLimits().apply()()
	told := b.observer(o.Tree)
	defer told.Close()
	o.Observer = told
	built, err := bake.Publish(ctx, o, store)
	told.forgot(built.Forgot)
	return built, err
}

// buildObserver tells people of a build.
type buildObserver struct {
	*cli.Meter
	out  *cli.Output
	tree string
}

func (b builder) observer(tree string) buildObserver {
	return buildObserver{cli.NewMeter(b.out), b.out, tree}
}

// Carried implements bake.Observer.
func (t buildObserver) Carried(c wordpress.Carried) {
	if v := viewCarried(c); v != nil {
		t.out.Note("%s", v)
	}
}

// Checked implements bake.Observer.
func (t buildObserver) Checked(r bake.Report) { noteReport(t.out, t.tree, r.Report) }

// Progress implements bake.Observer.
func (t buildObserver) Progress(p artifact.Progress) { t.Update(p) }

func (t buildObserver) forgot(why error) {
	if why != nil {
		t.out.Note("the next build will be slow: %v", why)
	}
}
