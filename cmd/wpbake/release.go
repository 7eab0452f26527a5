package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

type releaseOptions struct {
	rollout.Intent
	files bool // a dry run lists each that changed
}

func newReleaseCommand(e *env) *cobra.Command {
	o := releaseOptions{Intent: rollout.Intent{Kind: rollout.Release}}
	busy := string(rollout.Fail)
	dryRun := false
	cmd := &cobra.Command{
		Use:   "release VERSION",
		Short: "Build, publish and roll a version through the group",
		Long: `Looks at the group, builds the tree and publishes it, adds a template version
that pins its digest, refreshes the group and proves every node. With --bake
nodes get the release as a volume or an AMI and download nothing. Without a
tree (--tree=) it releases a published version, with --manifest none but the one
that is meant. A bad first node, an alarm or a failed
proof rolls the group back. Where the database has to follow, it does once
every node is proven.

An interrupt ends the watching, not the refresh. The same command again takes
up a run that was stopped.`,
		Example: `  eval "$(wpbake local env)"
  wpbake release v1 --tree ./site --store s3://releases/shop --group shop
  wpbake release v1 --tree= --manifest sha256:… --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) (err error) {
			o.Version = in.version()
			if o.OnBusy, err = parseOnBusy(busy); err != nil {
				return in.usage(err)
			}
			if in.cfg.Tree != "" {
				if o.Manifest != "" {
					return cli.Misuse(fmt.Errorf("--manifest names a published version, and the tree %q would be built", in.cfg.Tree), "add --tree=")
				}
				if err := bake.CheckTree(in.cfg.Tree); err != nil {
					return err
				}
			}
			if dryRun {
				return runDryRelease(ctx, e.builder(in.cfg), o)
			}
			return runRelease(ctx, e.builder(in.cfg), o.Intent)
		}),
	}
	e.settings.AddFlags(cmd, slices.Concat(treeKeys(), rolloutKeys(), bakeKeys())...)
	bakeFormFlag(e.settings, cmd, "bake")
	e.settings.AddFlags(cmd, "bake.parent")
	f := cmd.Flags()
	manifestFlag(cmd, &o.Manifest)
	f.BoolVar(&o.Detach, "detach", false, "return once the refresh has started")
	acceptIncompatibleFlag(cmd, &o.AcceptIncompatible)
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

// runRelease plans, builds and bakes, and rolls. Where nothing is built or
// baked the first plan is the one that is executed. A version that is published
// is found first: nothing else is asked about one that was not meant.
func runRelease(ctx context.Context, b builder, in rollout.Intent) error {
	view := cli.NewRunView(b.out, fmt.Sprintf("%s → %s", in.Version, b.cfg.Group))
	defer view.Close()
	r, err := b.open.group(ctx, b.cfg, rollout.Options{Events: view.Emit})
	if err != nil {
		return err
	}
	if b.cfg.Tree == "" {
		if in.Manifest, err = b.published(ctx, r.store, pinned{in.Version, in.Manifest}); err != nil {
			return err
		}
	}
	plan, err := r.Plan(ctx, in)
	if err != nil {
		return err
	}
	view.Lap("preflight")
	b.open.observed = &plan.Observation
	if b.cfg.Tree != "" || b.cfg.Bake.As != "" {
		if in, err = b.made(ctx, view, r, in); err != nil {
			return err
		}
		if plan, err = r.Plan(ctx, in); err != nil {
			return err
		}
	}
	result, err := r.Execute(ctx, plan)
	view.Close()
	if err != nil {
		return err
	}
	return sayEnded(b.out, result, view.Timings)
}

// made is an intent with what nodes are to get, built, published and baked.
func (b builder) made(ctx context.Context, view *cli.RunView, r openGroup, in rollout.Intent) (rollout.Intent, error) {
	if b.cfg.Tree != "" {
		var err error
		if in.Manifest, err = b.published(ctx, r.store, pinned{version: in.Version}); err != nil {
			return in, err
		}
		view.Lap("publish")
	}
	if b.cfg.Bake.As == "" {
		return in, nil
	}
	got, err := b.baker(r.clients, r.store).bake(ctx, pinned{in.Version, in.Manifest})
	if err != nil {
		return in, err
	}
	b.out.Note("%s", got.text(in.Version))
	view.Lap("bake")
	in.Baked = got.Baked
	return in, nil
}

// published makes sure that the store holds the version, from the tree when
// there is one, and returns the digest of its manifest.
func (b builder) published(ctx context.Context, store artifact.Store, n pinned) (artifact.Digest, error) {
	v := n.version
	if b.cfg.Tree == "" {
		_, digest, err := n.find(ctx, store)
		if errors.Is(err, artifact.ErrNotFound) {
			return "", cli.Hinted(fmt.Errorf("version %q is not published, and there is no tree to build it from", v), "add --tree DIR")
		}
		return digest, err
	}
	carry, err := b.carryFrom(ctx, store, v)
	if err != nil {
		return "", err
	}
	p, err := b.publish(ctx, b.options(v, carry), store)
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
