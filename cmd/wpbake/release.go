package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

type releaseOptions struct {
	version artifact.Version
	detach  bool
	onBusy  rollout.OnBusy
	accept  bool // incompatibilities of the database
	files   bool // a dry run lists each that changed
}

func newReleaseCommand(e *env) *cobra.Command {
	o := releaseOptions{}
	busy := string(rollout.Fail)
	dryRun := false
	cmd := &cobra.Command{
		Use:   "release VERSION",
		Short: "Build, publish and roll a version through the group",
		Long: `Looks at the group, builds the tree and publishes it, adds a template version
that pins its digest, refreshes the group and proves every node. With --bake
nodes get the release as a volume or an AMI and download nothing. Without a
tree (--tree=) it releases a published version. A bad first node, an alarm or a failed
proof rolls the group back. Where the database has to follow, it does once
every node is proven.

An interrupt ends the watching, not the refresh. The same command again takes
up a run that was stopped.`,
		Example: `  eval "$(wpbake local env)"
  wpbake release v1 --tree ./site --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) (err error) {
			o.version = in.version()
			if o.onBusy, err = parseOnBusy(busy); err != nil {
				return in.usage(err)
			}
			if in.cfg.Tree != "" {
				if err := checkTree(in.cfg.Tree); err != nil {
					return err
				}
			}
			if dryRun {
				return runDryRelease(ctx, e.builder(in.cfg), o)
			}
			return runRelease(ctx, e.builder(in.cfg), o)
		}),
	}
	e.settings.AddFlags(cmd, slices.Concat(treeKeys(), rolloutKeys(), bakeKeys())...)
	bakeFormFlag(e.settings, cmd, "bake")
	e.settings.AddFlags(cmd, "bake.parent")
	f := cmd.Flags()
	f.BoolVar(&o.detach, "detach", false, "return once the refresh has started")
	acceptIncompatibleFlag(cmd, &o.accept)
	f.BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.files, "files", false, "with --dry-run, list every file that changed")
	f.StringVar(&busy, "on-busy", busy, "when another run holds the group: `fail|wait|supersede`")
	return cmd
}

func parseOnBusy(s string) (rollout.OnBusy, error) {
	switch b := rollout.OnBusy(s); b {
	case rollout.Fail, rollout.Wait, rollout.Supersede:
		return b, nil
	}
	return "", fmt.Errorf("--on-busy %q: want fail, wait or supersede", s)
}

func acceptIncompatibleFlag(cmd *cobra.Command, accept *bool) {
	cmd.Flags().BoolVar(accept, "accept-incompatible", false, "go ahead although the database cannot go back with the code")
}

func runRelease(ctx context.Context, b builder, o releaseOptions) error {
	view := cli.NewRunView(b.out, fmt.Sprintf("%s → %s", o.version, b.cfg.Group))
	defer view.Close()
	r, err := b.open.group(ctx, b.cfg, rollout.Options{OnBusy: o.onBusy, Detach: o.detach, AcceptIncompatible: o.accept, Events: view.Emit})
	if err != nil {
		return err
	}
	if err := r.Preflight(ctx, o.version); err != nil {
		return err
	}
	view.Lap("preflight")
	digest, err := b.published(ctx, r.store, o.version)
	if err != nil {
		return err
	}
	view.Lap("publish")
	rolling := r.Engine
	if b.cfg.Bake.As != "" {
		made, err := b.baker(r.clients, r.store).bake(ctx, o.version)
		if err != nil {
			return err
		}
		b.out.Note("%s", made.text(o.version))
		view.Lap("bake")
		rolling = r.Carrying(made.Baked)
	}
	result, err := rolling.Release(ctx, o.version, digest)
	view.Close()
	if err != nil {
		return err
	}
	return sayEnded(b.out, result, view.Timings)
}

// published makes sure that the store holds the version, from the tree when
// there is one, and returns the digest of its manifest.
func (b builder) published(ctx context.Context, store artifact.Store, v artifact.Version) (artifact.Digest, error) {
	if b.cfg.Tree == "" {
		_, digest, err := artifact.Find(ctx, store, v)
		if errors.Is(err, artifact.ErrNotFound) {
			return "", cli.Hinted(fmt.Errorf("version %q is not published, and there is no tree to build it from", v), "add --tree DIR")
		}
		return digest, err
	}
	build := b.options(v)
	var err error
	if build.carry, err = b.carryFrom(ctx, store, v); err != nil {
		return "", err
	}
	p, err := b.buildAndPut(ctx, store, build)
	if taken := (*artifact.VersionTaken)(nil); errors.As(err, &taken) && taken.Have != "" {
		return "", cli.Hinted(err, "release the tree under a new version; --tree= releases what is published")
	}
	if err != nil {
		return "", err
	}
	if p.Created {
		b.out.Note("published %s %s", v, p.Digest)
	}
	return p.Digest, nil
}
