package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

type gcOptions struct {
	url     string // of the store
	dryRun  bool
	keep    int
	younger time.Duration
	shared  bool
}

func (o gcOptions) validate() error {
	switch {
	case o.keep < 1:
		return fmt.Errorf("--keep %d: want at least 1, so that there is a way back", o.keep)
	case o.younger < 0:
		return fmt.Errorf("--younger-than %s: want a duration such as 168h", o.younger)
	}
	return nil
}

const (
	defaultKeep  = 5
	defaultYoung = 7 * 24 * time.Hour
)

func newGcCommand(e *env) *cobra.Command {
	o := gcOptions{}
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove images and release volumes that nothing needs",
		Long: `Removes finished images and release volumes of the store's releases that
nothing needs. What is needed: whatever the template versions of any Auto
Scaling group of the account name, the default and latest version of any
template, launch configurations, instances and their volumes; what belongs to
the newest releases that a group with rollouts in the store can go back to, or
to a run that is not finished; and what is young.

An artifact in the store is never removed: a release whose image is gone can be
baked again. What a bake left unfinished is the business of wpbake sweep.

The configured region is looked at, and those that bakes are copied to.`,
		Example: `  eval "$(wpbake local env)"
  wpbake gc --dry-run --store s3://releases/shop
  wpbake gc --store s3://releases/shop --keep 3 --younger-than 48h`,
		GroupID:           groupArtifact,
		Args:              exactArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if err := o.validate(); err != nil {
				return in.usage(err)
			}
			store, err := readRollouts(ctx, in.cfg)
			if err != nil {
				return err
			}
			regions, err := openRegions(ctx, in.cfg)
			if err != nil {
				return err
			}
			o.url = in.cfg.Store
			return runGC(ctx, e.out, collector{store, regions}, o)
		}, "store"),
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "name what would be removed or kept and why, and remove nothing")
	f.IntVar(&o.keep, "keep", defaultKeep, "how many proven `RELEASES` a group can go back to, besides the one it runs")
	f.DurationVar(&o.younger, "younger-than", defaultYoung, "keep what was made less long ago")
	f.BoolVar(&o.shared, "shared", false, "remove also what other accounts may use")
	e.settings.AddFlags(cmd, append([]string{"bake.regions"}, storeKeys()...)...)
	return cmd
}

// collector is where a collection looks.
type collector struct {
	store   artifact.Store // with the rollouts, which say what is still needed
	regions []*aws.Clients
}

// collected is what became of one region's images and snapshots.
type collected struct {
	place string
	found []inventory.Verdict
}

func runGC(ctx context.Context, out *cli.Output, c collector, o gcOptions) error {
	var all []collected
	for _, clients := range c.regions {
		// Anew for each region: a release may have gone on in the meantime.
		roots, err := rollout.Roots(ctx, c.store, o.keep)
		if err != nil {
			return notCollected(err)
		}
		found, err := inventory.Collect{
			Baked: clients.Baked(), Store: o.url, Roots: gcRoots(roots), Young: o.younger, Shared: o.shared,
			Judge: inventory.Judge{Now: out.Now(), Alive: owner.Alive}, DryRun: o.dryRun,
			Told: func(v inventory.Verdict) { sayVerdict(out, clients.Region(), v, o.dryRun) },
		}.Run(ctx)
		if err != nil {
			return notCollected(err)
		}
		all = append(all, collected{clients.Region(), found})
	}
	return sayCollected(out, all, o.dryRun)
}

// notCollected says that what cannot be seen may need anything.
func notCollected(err error) error {
	return cli.Hinted(
		fmt.Errorf("finding what needs images and release volumes: %w; none is removed where that is not known", err),
		cli.HintOf(err))

}

func sayCollected(out *cli.Output, all []collected, dryRun bool) error {
	view := sweptView{DryRun: dryRun, Places: []string{}, Found: []thingView{}}
	var left []string
	var cause error
	for _, one := range all {
		view.add(one.place, one.found)
		for _, v := range inventory.Left(one.found) {
			left = append(left, fmt.Sprintf("%s %s", v.Kind, v.ID))
			if cause == nil {
				cause = v.Err
			}
		}
	}
	switch {
	case len(view.Found) == 0:
		out.Say("no images or release volumes of this store in %s", strings.Join(view.Places, ", "))
	case dryRun:
		out.Say("%s would be removed, %d kept", cli.Count(view.ToRemove, "thing"), view.Kept)
	default:
		out.Say("%s removed, %d kept", cli.Count(view.Removed, "thing"), view.Kept)
	}
	if err := out.Object(view); err != nil {
		return err
	}
	if cause == nil {
		return nil
	}
	hint := cli.HintOf(cause)
	if hint == "" {
		hint = "wpbake gc once more; it takes up what this one left"
	}
	// Not %w: an interruption among the causes would read as if nothing had
	// been changed.
	return cli.Hinted(fmt.Errorf("removing what nothing needs: %s may still be there: %v", strings.Join(left, ", "), cause), hint)
}

// gcRoots are what the groups' rollouts still need.
func gcRoots(roots []rollout.Root) []inventory.Root {
	var all []inventory.Root
	for _, root := range roots {
		r := inventory.Root{Why: root.Why, Manifest: root.Manifest, Image: root.Image, Snapshot: root.Snapshot}
		for _, t := range root.Templates {
			r.Templates = append(r.Templates, inventory.Template(t))
		}
		all = append(all, r)
	}
	return all
}
