package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/rollout"
)

type gcOptions struct {
	dryRun  bool
	keep    int
	younger time.Duration
	shared  bool
}

const (
	defaultKeep  = 5
	defaultYoung = 7 * 24 * time.Hour
)

func (c *cli) gcCommand() *cobra.Command {
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
		Args:              words(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.keep < 1:
				return usage(cmd, fmt.Errorf("--keep %d: want at least 1, so that there is a way back", o.keep))
			case o.younger < 0:
				return usage(cmd, fmt.Errorf("--younger-than %s: want a duration such as 168h", o.younger))
			}
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.gc(cmd.Context(), cfg, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "name what would be removed or kept and why, and remove nothing")
	f.IntVar(&o.keep, "keep", defaultKeep, "how many proven `RELEASES` a group can go back to, besides the one it runs")
	f.DurationVar(&o.younger, "younger-than", defaultYoung, "keep what was made less long ago")
	f.BoolVar(&o.shared, "shared", false, "remove also what other accounts may use")
	c.settingFlags(cmd, append([]string{"bake.regions"}, storeKeys...)...)
	return cmd
}

// collected is what became of one region's images and snapshots.
type collected struct {
	place string
	found []inventory.Verdict
}

func (c *cli) gc(ctx context.Context, cfg Config, o gcOptions) error {
	if err := cfg.need("store"); err != nil {
		return err
	}
	store, err := lookIntoRollouts(ctx, cfg)
	if err != nil {
		return err
	}
	regions, err := c.clientsIn(ctx, cfg)
	if err != nil {
		return err
	}
	var all []collected
	for _, clients := range regions {
		// Anew for each region: a release may have gone on in the meantime.
		roots, err := rollout.Roots(ctx, store, o.keep)
		if err != nil {
			return notCollected(err)
		}
		found, err := inventory.Collect{
			Baked: clients.Baked(), Store: cfg.Store, Roots: gcRoots(roots), Young: o.younger, Shared: o.shared,
			Judge: inventory.Judge{Now: c.Now(), Alive: alive}, DryRun: o.dryRun,
			Told: func(v inventory.Verdict) { c.sayVerdict(clients.Region(), v, o.dryRun) },
		}.Run(ctx)
		if err != nil {
			return notCollected(err)
		}
		all = append(all, collected{clients.Region(), found})
	}
	return c.sayCollected(all, o.dryRun)
}

// notCollected says that what cannot be seen may need anything.
func notCollected(err error) error {
	return &hintedError{
		err:  fmt.Errorf("finding what needs images and release volumes: %w; none is removed where that is not known", err),
		hint: hintOf(err),
	}
}

func (c *cli) sayCollected(all []collected, dryRun bool) error {
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
		c.say("no images or release volumes of this store in %s", strings.Join(view.Places, ", "))
	case dryRun:
		c.say("%s would be removed, %d kept", things(view.ToRemove), view.Kept)
	default:
		c.say("%s removed, %d kept", things(view.Removed), view.Kept)
	}
	if err := c.object(view); err != nil {
		return err
	}
	if cause == nil {
		return nil
	}
	hint := hintOf(cause)
	if hint == "" {
		hint = "wpbake gc once more; it takes up what this one left"
	}
	// Not %w: an interruption among the causes would read as if nothing had
	// been changed.
	return &hintedError{err: fmt.Errorf("removing what nothing needs: %s may still be there: %v", strings.Join(left, ", "), cause), hint: hint}
}

// clientsIn connects to the configured region and to those that bakes are
// copied to, each once.
func (c *cli) clientsIn(ctx context.Context, cfg Config) ([]*aws.Clients, error) {
	here, err := loadAWS(ctx, cfg)
	if err != nil {
		return nil, err
	}
	all, seen := []*aws.Clients{here}, map[string]bool{here.Region(): true}
	for _, region := range cfg.Bake.Regions {
		if seen[region] {
			continue
		}
		seen[region], cfg.Region = true, region
		there, err := loadAWS(ctx, cfg)
		if err != nil {
			return nil, err
		}
		all = append(all, there)
	}
	return all, nil
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
