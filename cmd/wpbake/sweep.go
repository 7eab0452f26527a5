package main

import (
	"context"
	"fmt"
	"slices"
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

type sweepOptions struct {
	dryRun bool
	older  time.Duration
}

const defaultUploadAge = 24 * time.Hour

func newSweepCommand(e *env) *cobra.Command {
	o := sweepOptions{}
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Remove what a bake that died left in the account",
		Long: `Removes what a bake that was killed, lost its network or ran out of time
left unfinished: build instances, volumes, pending snapshots, images that
failed, security groups and key pairs; and, with a store in S3, uploads of
releases that nobody finished.

Only what carries the tag wpbake:run is looked at, and only what is dead is
removed: its tag wpbake:expires is past, or its tag wpbake:holder names a
process of this machine that is gone. Uploads carry no tags; an old one below
releases/ of the store is dead. Finished images and snapshots stay: wpbake gc
knows whether anything needs them.

The configured region is looked at, and those that bakes are copied to.`,
		Example: `  eval "$(wpbake local env)"
  wpbake sweep --dry-run --store s3://releases/shop
  wpbake sweep --store s3://releases/shop`,
		GroupID:           groupArtifact,
		Args:              exactArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if o.older < 0 {
				return in.usage(fmt.Errorf("--older-than %s: want a duration such as 24h", o.older))
			}
			places, err := openPlaces(ctx, in.cfg)
			if err != nil {
				return err
			}
			return runSweep(ctx, e.out, places, o)
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "name what would be removed and why, and remove nothing")
	f.DurationVar(&o.older, "older-than", defaultUploadAge, "the age from which an unfinished upload is dead")
	e.settings.AddFlags(cmd, append([]string{"bake.regions"}, storeKeys()...)...)
	return cmd
}

// place is a region, or a store in S3, and what was found there.
type place struct {
	name    string
	account inventory.Account
	kinds   []inventory.Kind
	inventory.Swept
}

func runSweep(ctx context.Context, out *cli.Output, places []place, o sweepOptions) error {
	judge := inventory.Judge{Now: out.Now(), Alive: owner.Alive, Uploads: o.older}
	if !slices.ContainsFunc(places, func(p place) bool { return slices.Contains(p.kinds, inventory.Upload) }) {
		out.Note("no store in S3 is named: unfinished uploads are not looked for")
	}
	for i := range places {
		p := &places[i]
		p.Swept = inventory.Sweep{
			Account: p.account, Kinds: p.kinds, Judge: judge, DryRun: o.dryRun,
			Told: func(v inventory.Verdict) { sayVerdict(out, p.name, v, o.dryRun) },
		}.Run(ctx)
		for _, u := range p.Unseen {
			out.Say("unseen       %ss in %s: %v", u.Kind, p.name, u.Err)
		}
	}
	view := sweptViewOf(places, o.dryRun)
	switch {
	case view.ToRemove == 0 && len(view.Unseen) == 0:
		out.Say("no dead run left anything in %s", strings.Join(view.Places, ", "))
	case o.dryRun:
		out.Say("%s would be removed, %d kept", cli.Count(view.ToRemove, "thing"), view.Kept)
	default:
		out.Say("%s removed, %d kept", cli.Count(view.Removed, "thing"), view.Kept)
	}
	if err := out.Object(view); err != nil {
		return err
	}
	return notSwept(places)
}

// openPlaces are where to sweep: the regions, then the store if it is in S3.
func openPlaces(ctx context.Context, cfg cli.Config) ([]place, error) {
	u := storeURL{}
	if cfg.Store != "" {
		var err error
		if u, err = parseStore(cfg.Store); err != nil {
			return nil, err
		}
	}
	regions, err := openRegions(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var places []place
	for _, clients := range regions {
		places = append(places, place{name: clients.Region(), account: clients.Inventory(), kinds: inventory.Kinds()})
	}
	if u.bucket == "" {
		return places, nil
	}
	prefix := artifact.ReleasesPrefix
	if u.prefix != "" {
		prefix = u.prefix + "/" + prefix
	}
	uploads := regions[0].Uploads(u.bucket, prefix, cfg.BucketOwner)
	return append(places, place{name: cfg.Store, account: uploads, kinds: []inventory.Kind{inventory.Upload}}), nil
}

func sayVerdict(out *cli.Output, where string, v inventory.Verdict, dryRun bool) {
	word := "kept"
	switch {
	case v.Remove && dryRun:
		word = "would remove"
	case v.Err != nil:
		word = "failed"
	case v.Remove:
		word = "removed"
	}
	what := string(v.Kind) + " " + v.ID
	if v.Kind == inventory.Upload {
		what = string(v.Kind) + " of " + v.Name
	}
	reason := v.Reason
	if v.Err != nil {
		reason = v.Err.Error()
	}
	out.Say("%-12s %s in %s: %s", word, what, where, reason)
}

// sweptView is the answer for programs.
type sweptView struct {
	DryRun   bool         `json:"dry_run"`
	Places   []string     `json:"places"`
	ToRemove int          `json:"to_remove"`
	Removed  int          `json:"removed"`
	Kept     int          `json:"kept"`
	Found    []thingView  `json:"found"`
	Unseen   []unseenView `json:"unseen,omitempty"`
}

type thingView struct {
	Place   string         `json:"place"`
	Kind    inventory.Kind `json:"kind"`
	ID      string         `json:"id"`
	Name    string         `json:"name,omitempty"`
	State   string         `json:"state,omitempty"`
	Version string         `json:"version,omitempty"`
	Run     string         `json:"run,omitempty"`
	Created time.Time      `json:"created,omitzero"`
	Remove  bool           `json:"remove"`
	Reason  string         `json:"reason"`
	Error   string         `json:"error,omitempty"` // it may still be there
}

type unseenView struct {
	Place string         `json:"place"`
	Kind  inventory.Kind `json:"kind"`
	Error string         `json:"error"`
}

func sweptViewOf(places []place, dryRun bool) sweptView {
	view := sweptView{DryRun: dryRun, Places: []string{}, Found: []thingView{}}
	for _, p := range places {
		view.add(p.name, p.Found)
		for _, u := range p.Unseen {
			view.Unseen = append(view.Unseen, unseenView{p.name, u.Kind, u.Err.Error()})
		}
	}
	return view
}

// add takes a place into the view.
func (view *sweptView) add(where string, found []inventory.Verdict) {
	view.Places = append(view.Places, where)
	for _, v := range found {
		view.Found = append(view.Found, thingViewOf(where, v))
		if !v.Remove {
			view.Kept++
			continue
		}
		view.ToRemove++
		if !view.DryRun && v.Err == nil {
			view.Removed++
		}
	}
}

func thingViewOf(where string, v inventory.Verdict) thingView {
	one := thingView{
		Place: where, Kind: v.Kind, ID: v.ID, Name: v.Name, State: v.State, Version: v.Tags[owner.TagVersion], Run: v.Tags[owner.TagRun],
		Created: v.Created, Remove: v.Remove, Reason: v.Reason,
	}
	if v.Err != nil {
		one.Error = v.Err.Error()
	}
	return one
}

// notSwept names what may still be there.
func notSwept(places []place) error {
	var left []string
	var causes []error
	for _, p := range places {
		for _, v := range inventory.Left(p.Found) {
			left = append(left, fmt.Sprintf("%s %s", v.Kind, v.ID))
			causes = append(causes, v.Err)
		}
		for _, u := range p.Unseen {
			left = append(left, fmt.Sprintf("any %s in %s", u.Kind, p.name))
			causes = append(causes, u.Err)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &leftError{what: left, causes: causes}
}

// leftError says what could not be removed, or not even be seen. It does not
// lead to its causes: an interruption among them would read as if nothing had
// been changed.
type leftError struct {
	what   []string
	causes []error
}

func (e *leftError) Error() string {
	return fmt.Sprintf("sweeping: these may still be there and cost money: %s: %v", strings.Join(e.what, ", "), e.causes[0])
}

// Hint is the cause's own, or to sweep again.
func (e *leftError) Hint() string {
	if h := cli.HintOf(e.causes[0]); h != "" {
		return h + "; then wpbake sweep once more"
	}
	return "wpbake sweep once more; it takes up what this one left"
}

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

func newGCCommand(e *env) *cobra.Command {
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
