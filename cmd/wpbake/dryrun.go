package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
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

// dryRelease looks as release does, and stops where release would change
// something.
func runDryRelease(ctx context.Context, b builder, o releaseOptions) error {
	r, err := b.open.group(ctx, b.cfg, rollout.Options{OnBusy: o.onBusy})
	if err != nil {
		return err
	}
	p := planned{Group: r.name, Version: o.version}
	if p.Findings, err = r.Doctor(ctx); err != nil {
		return err
	}
	p.Findings = append([]rollout.Finding{}, p.Findings...) // an empty list in JSON, never null
	if sayFindings(b.out, p.Findings) > 0 {
		return r.Preflight(ctx, o.version)
	}
	if err := r.Preflight(ctx, o.version); err != nil {
		return err
	}
	step, built, err := b.wouldPublish(ctx, r.store, o.version)
	if built.remove != nil {
		defer built.remove()
	}
	if err != nil {
		return err
	}
	digest := built.digest
	p.Manifest = digest
	p.Steps = append(p.Steps, step)
	if step, err = b.baker(r.clients, built.store).wouldBake(ctx, o.version); err != nil {
		return err
	}
	if step != "" {
		p.Steps = append(p.Steps, step)
	}
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	p.Steps = append(p.Steps, wouldRelease(st, digest)...)
	if p.Carried, err = b.wouldCarry(ctx, built.store, o.version); err != nil {
		return err
	}
	if err := p.compare(ctx, r, st, built); err != nil {
		return err
	}
	p.say(b.out, st.Version, o.files)
	if err := b.out.Object(p); err != nil {
		return err
	}
	if len(database.Blocking(p.Incompatibilities)) > 0 && !o.accept {
		return &rollout.Incompatible{Group: r.name, Kind: rollout.Release, Version: o.version, Incompatibilities: p.Incompatibilities}
	}
	return nil
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

// compare takes in what would change against what the group runs, and against
// the database.
func (p *planned) compare(ctx context.Context, r openGroup, st rollout.Status, built unpublished) error {
	to, _, err := artifact.Find(ctx, built.store, p.Version)
	if err != nil {
		return err
	}
	if p.Incompatibilities, p.Database, err = r.Incompatibilities(ctx, to.WordPress); err != nil {
		return err
	}
	if p.Database != nil && to.WordPress.DBVersion > p.Database.Schema {
		step := fmt.Sprintf("database: schema %d would become %d once every node is proven", p.Database.Schema, to.WordPress.DBVersion)
		if r.saves {
			step += ", after saving it"
		}
		p.Steps = append(p.Steps, step)
	}
	if st.Version == "" {
		return nil
	}
	from, digest, err := artifact.Find(ctx, r.store, st.Version)
	if errors.Is(err, artifact.ErrNotFound) || err == nil && digest != st.Manifest {
		return nil // it was removed from the store
	}
	if err != nil {
		return err
	}
	if p.Changes, err = fetch.Diff(ctx, built.store, from, to); err != nil {
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
func (b builder) wouldPublish(ctx context.Context, store artifact.Store, v artifact.Version) (step string, s unpublished, err error) {
	_, there, err := artifact.Find(ctx, store, v)
	absent := errors.Is(err, artifact.ErrNotFound)
	if err != nil && !absent {
		return "", unpublished{}, err
	}
	if b.cfg.Tree == "" {
		digest, err := b.published(ctx, store, v)
		return fmt.Sprintf("publish: %s stays as it is published", v), unpublished{digest: digest, store: store}, err
	}
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return "", unpublished{}, err
	}
	dir := own.Path
	s.remove = func() { own.Remove() }
	build := b.options(v)
	build.out = dir
	if build.carry, err = b.carryFrom(ctx, store, v); err != nil {
		return "", s, err
	}
	built, err := b.makeArtifact(ctx, build)
	if err != nil {
		return "", s, err
	}
	other, err := dirstore.New(dir)
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

// wouldCarry says what the version has of the one before.
func (b builder) wouldCarry(ctx context.Context, store artifact.Store, v artifact.Version) (*carriedView, error) {
	m, _, err := artifact.Find(ctx, store, v)
	if err != nil {
		return nil, err
	}
	return lookCarried(ctx, b.out, store, m), nil
}

func wouldRelease(st rollout.Status, digest artifact.Digest) []string {
	if st.Proven && st.Manifest == digest && st.Refresh == nil {
		return []string{fmt.Sprintf("release: nothing, %s of %s proven on it", cli.Count(len(st.Nodes), "node"), st.Group)}
	}
	var steps []string
	for _, t := range st.Saved {
		steps = append(steps, fmt.Sprintf("template: %s would get a version, a copy of %s that pins %s", t.ID, t.Version, digest.Short()))
	}
	before := "what runs now"
	if st.Version != "" {
		before = string(st.Version)
	}
	return append(steps, fmt.Sprintf("refresh: %s of %s would be replaced; a bad first node goes back to %s", cli.Count(st.Desired, "node"), st.Group, before))
}
