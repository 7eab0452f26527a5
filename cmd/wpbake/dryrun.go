package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/scratch"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
)

// planned is what a release would do.
type planned struct {
	Group    string           `json:"group"`
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`
	Steps    []string         `json:"steps"`

	WordPress         []wordpress.Change         `json:"wordpress,omitempty"` // against what the group runs
	Changes           []artifact.Change          `json:"changes,omitempty"`   // files, likewise
	Carried           *carriedView               `json:"carried,omitempty"`   // assets of the release before
	Incompatibilities []database.Incompatibility `json:"incompatibilities,omitempty"`
	Database          *database.State            `json:"database,omitempty"`
	Findings          []rollout.Finding          `json:"findings"`
}

// runDryRelease plans as release does, and stops where release would change
// something.
func runDryRelease(ctx context.Context, b builder, o releaseOptions) error {
	r, err := b.open.group(ctx, b.cfg, rollout.Options{})
	if err != nil {
		return err
	}
	n := pinned{o.Version, o.Manifest}
	if b.cfg.Tree == "" {
		if n.manifest, err = b.published(ctx, r.store, n); err != nil {
			return err
		}
	}
	o.Manifest = "" // first only the group is looked at
	p := planned{Group: r.name, Version: o.Version}
	plan, err := r.Plan(ctx, o.Intent)
	p.Findings = append([]rollout.Finding{}, plan.Observation.Findings...) // an empty list in JSON, never null
	sayFindings(b.out, p.Findings)
	if err != nil {
		return err
	}
	b.open.observed = &plan.Observation
	step, built, err := b.wouldPublish(ctx, r.store, n)
	if built.remove != nil {
		defer built.remove()
	}
	if err != nil {
		return err
	}
	p.Manifest = built.digest
	p.Steps = append(p.Steps, step)
	if step, err = b.baker(r.clients, built.store).wouldBake(ctx, pinned{o.Version, built.digest}); err != nil {
		return err
	}
	if step != "" {
		p.Steps = append(p.Steps, step)
	}
	to, _, err := pinned{o.Version, built.digest}.find(ctx, built.store)
	if err != nil {
		return err
	}
	o.Manifest, o.Store = built.digest, built.store
	plan, refused := r.Plan(ctx, o.Intent)
	if incompatible := (*rollout.Incompatible)(nil); refused != nil && !errors.As(refused, &incompatible) {
		return refused
	}
	p.Steps = append(p.Steps, plan.Steps...)
	p.Incompatibilities = plan.Incompatibilities
	if m := plan.Observation.Move; m != nil {
		p.Database = m.Now
	}
	p.Carried = lookCarried(ctx, b.out, built.store, to)
	st := plan.Observation.Status()
	if err := p.compare(ctx, r.store, built.store, st, to); err != nil {
		return err
	}
	p.say(b.out, st.Version, o.files)
	if err := b.out.Object(p); err != nil {
		return err
	}
	return refused
}

// say prints the plan; before is the version that the group runs.
func (p planned) say(out *cli.Output, before artifact.Version, files bool) {
	for _, s := range p.Steps {
		out.Say("%s", s)
	}
	sayWordPress(out, before, p.WordPress)
	sayCarried(out, p.Carried)
	if files {
		sayChanges(out, p.Changes, true)
	}
	sayIncompatibilities(out, p.Incompatibilities)
}

// compare takes in what would change against what the group runs.
func (p *planned) compare(ctx context.Context, store, built artifact.Store, st rollout.Status, to artifact.Manifest) error {
	if st.Version == "" {
		return nil
	}
	from, digest, err := artifact.Find(ctx, store, st.Version)
	if errors.Is(err, artifact.ErrNotFound) || err == nil && digest != st.Manifest {
		return nil // it was removed from the store
	}
	if err != nil {
		return err
	}
	if p.Changes, err = fetch.Diff(ctx, built, from, to); err != nil {
		return err
	}
	p.WordPress = wordpress.Changes(from.WordPress, to.WordPress, p.Changes, p.Database.Uses)
	return nil
}

// unpublished is a version that may not be published.
type unpublished struct {
	digest artifact.Digest
	store  artifact.Store // that has it, beside all that are published
	remove func()         // may be nil
}

// overlayStore shows one version of another store in a store.
type overlayStore struct {
	artifact.Store
	version artifact.Version
	other   artifact.Store
}

// Get opens an object of the version, or of all others.
func (b overlayStore) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	if strings.HasPrefix(name, artifact.ReleasePrefix(b.version)) {
		return b.other.Get(ctx, name, off, n)
	}
	return b.Store.Get(ctx, name, off, n)
}

// wouldPublish builds into a scratch directory to learn what would be published.
func (b builder) wouldPublish(ctx context.Context, store artifact.Store, n pinned) (step string, s unpublished, err error) {
	v := n.version
	if b.cfg.Tree == "" {
		digest, err := b.published(ctx, store, n)
		return fmt.Sprintf("publish: %s stays as it is published", v), unpublished{digest: digest, store: store}, err
	}
	_, there, err := artifact.Find(ctx, store, v)
	absent := errors.Is(err, artifact.ErrNotFound)
	if err != nil && !absent {
		return "", unpublished{}, err
	}
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return "", unpublished{}, err
	}
	dir := own.Path
	s.remove = func() { own.Remove() }
	carry, err := b.carryFrom(ctx, store, v)
	if err != nil {
		return "", s, err
	}
	built, err := b.build(ctx, b.options(v, carry), dir)
	if err != nil {
		return "", s, err
	}
	other, err := openDirectory(dir)
	if err != nil {
		return "", s, err
	}
	s.digest, s.store = built.Digest, overlayStore{store, v, other}
	switch {
	case absent:
		return fmt.Sprintf("publish: %s would be put into %s as %s", v, b.cfg.Store, built.Digest), s, nil
	case there == built.Digest:
		return fmt.Sprintf("publish: %s stays as it is published, with the same bytes", v), s, nil
	}
	return "", s, cli.Hinted(
		fmt.Errorf("version %q is published with other bytes, %s; the tree makes %s", v, there.Short(), built.Digest.Short()),
		"a published version never changes: choose a new one")
}
