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
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
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
