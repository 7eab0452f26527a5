package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

type releaseOptions struct {
	version artifact.Version
	detach  bool
	onBusy  rollout.OnBusy
	dryRun  bool
	accept  bool // incompatibilities of the database
	files   bool // a dry run lists each that changed
}

func (c *cli) releaseCommand() *cobra.Command {
	o := releaseOptions{}
	busy := string(rollout.Fail)
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
		Args:    words("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if o.version, err = parseVersion(cmd, args[0]); err != nil {
				return err
			}
			if o.onBusy, err = parseOnBusy(cmd, busy); err != nil {
				return err
			}
			if cfg.Tree != "" {
				if err := checkTree(cfg.Tree); err != nil {
					return err
				}
			}
			if o.dryRun {
				return c.dryRelease(cmd.Context(), cfg, o)
			}
			return c.release(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, slices.Concat(treeKeys, rolloutKeys, bakeKeys)...)
	c.formFlag(cmd, "bake")
	c.settingFlags(cmd, "bake.parent")
	f := cmd.Flags()
	f.BoolVar(&o.detach, "detach", false, "return once the refresh has started")
	acceptIncompatibleFlag(cmd, &o.accept)
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.files, "files", false, "with --dry-run, list every file that changed")
	f.StringVar(&busy, "on-busy", busy, "when another run holds the group: `fail|wait|supersede`")
	return cmd
}

func parseOnBusy(cmd *cobra.Command, s string) (rollout.OnBusy, error) {
	switch b := rollout.OnBusy(s); b {
	case rollout.Fail, rollout.Wait, rollout.Supersede:
		return b, nil
	}
	return "", usage(cmd, fmt.Errorf("--on-busy %q: want fail, wait or supersede", s))
}

func (c *cli) release(ctx context.Context, cfg Config, o releaseOptions) error {
	show := c.shower(fmt.Sprintf("%s → %s", o.version, cfg.Group))
	defer show.close()
	r, err := c.connect(ctx, cfg, rollout.Options{OnBusy: o.onBusy, Detach: o.detach, AcceptIncompatible: o.accept, Events: show.tell})
	if err != nil {
		return err
	}
	if err := r.MayRelease(ctx, o.version); err != nil {
		return err
	}
	show.laps.lap("preflight")
	digest, err := c.published(ctx, cfg, r.store, o.version)
	if err != nil {
		return err
	}
	show.laps.lap("publish")
	rolling := r.Bake
	if cfg.Bake.As != "" {
		made, err := c.bake(ctx, cfg, r.clients, r.store, o.version)
		if err != nil {
			return err
		}
		c.note("%s", made.text(o.version))
		show.laps.lap("bake")
		rolling = r.Carrying(made.Baked)
	}
	result, err := rolling.Release(ctx, o.version, digest)
	show.close()
	if err != nil {
		return err
	}
	return c.ended(result, show.laps.laps)
}

// published makes sure that the store holds the version, from the tree when
// there is one, and returns the digest of its manifest.
func (c *cli) published(ctx context.Context, cfg Config, store artifact.Store, v artifact.Version) (artifact.Digest, error) {
	if cfg.Tree == "" {
		_, digest, err := artifact.Find(ctx, store, v)
		if errors.Is(err, artifact.ErrNotFound) {
			return "", &hintedError{err: fmt.Errorf("version %q is not published, and there is no tree to build it from", v), hint: "add --tree DIR"}
		}
		return digest, err
	}
	build := c.toBuild(cfg, v)
	var err error
	if build.carry, err = c.carryFrom(ctx, cfg, store, v); err != nil {
		return "", err
	}
	p, err := c.buildAndPut(ctx, store, build)
	if taken := (*artifact.VersionTaken)(nil); errors.As(err, &taken) && taken.Have != "" {
		return "", &hintedError{err: err, hint: "release the tree under a new version; --tree= releases what is published"}
	}
	if err != nil {
		return "", err
	}
	if p.Created {
		c.note("published %s %s", v, p.Digest)
	}
	return p.Digest, nil
}
