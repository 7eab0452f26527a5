package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Rollback takes the group back to a proven version; an empty version means
// the newest proven one that does not run now. While a release is under way
// it is turned back instead. It asks for no preflight, ignores alarms and
// takes the lock over from whoever holds it.
func (b *Engine) Rollback(ctx context.Context, v artifact.Version) (Result, error) {
	active, err := b.activeRefresh(ctx)
	if err != nil {
		return Result{}, err
	}
	if active != nil {
		res, err := b.undoActive(ctx, *active, v)
		if err != nil || wentBack(res, v) {
			return res, err
		}
		b.emit(Event{Kind: "note", Run: res.Run, Text: fmt.Sprintf("the refresh to %s ended %s: going on from there", res.Version, res.Outcome)})
	}
	return b.rollbackTo(ctx, v)
}

// wentBack reports whether ending the active refresh is all that a rollback to
// v asked for. It is not when the refresh succeeded before it could be turned
// back, or when another version than v ran before it.
func wentBack(r Result, v artifact.Version) bool {
	switch {
	case r.Outcome == RolledBack:
		return v == "" || v == r.Serving
	case r.Outcome == Released:
		return r.Kind == Rollback && (v == "" || v == r.Version)
	}
	return true
}

// rollbackTo starts a run that goes back, from a group without a refresh.
func (b *Engine) rollbackTo(ctx context.Context, v artifact.Version) (Result, error) {
	target, current, err := b.target(ctx, v)
	if err != nil {
		return Result{}, err
	}
	c := intent{kind: Rollback, version: target.Version, manifest: target.Manifest}
	if open, err := b.unfinished(ctx); err != nil {
		return Result{}, err
	} else if open == nil || !c.same(*open) {
		c.takeover = "rollback"
	}
	p, err := b.acceptance(ctx, Rollback, target.Version, target.Manifest)
	if err != nil {
		return Result{}, err
	}
	if err := b.checkCompatibility(Rollback, target.Version, p); err != nil {
		return Result{}, err
	}
	b.emit(Event{Kind: "note", Version: target.Version, Text: fmt.Sprintf("going back from %s to %s", current, target.Version)})
	quiet := *b
	quiet.o.Refresh.Alarms = nil
	return quiet.run(ctx, c, func(l Lock) (Record, error) {
		rec, err := quiet.rollbackRecord(ctx, l, target)
		p.into(&rec)
		return rec, err
	})
}

// undoActive turns the active refresh back when it is wpbake's.
func (b *Engine) undoActive(ctx context.Context, active Refresh, v artifact.Version) (Result, error) {
	l, _, err := b.docs().lock(ctx)
	if err != nil {
		return Result{}, err
	}
	rec, _, err := b.docs().record(ctx, l.Run)
	if err != nil {
		return Result{}, err
	}
	if l.Run == "" || !rec.owns(active) {
		return Result{}, &Refused{Group: b.o.Group, Findings: []Finding{{ID: "refresh/foreign", Blocks: true,
			Text: fmt.Sprintf("instance refresh %s is %s and was not started by wpbake", active.ID, active.Status),
			Fix:  "aws autoscaling rollback-instance-refresh or cancel-instance-refresh, then the same command again"}}}
	}
	if rec.Kind == Rollback && (v == "" || v == rec.Version) {
		return b.Resume(ctx)
	}
	return b.undo(ctx, l, "wpbake rollback")
}

// undo takes over the run in the lock and turns its refresh back.
func (b *Engine) undo(ctx context.Context, l Lock, why string) (Result, error) {
	docs := b.docs()
	current, etag, err := docs.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	if current.Run != l.Run {
		return Result{}, &Busy{Group: b.o.Group, Lock: current}
	}
	c := intent{kind: l.Kind, version: l.Version, manifest: l.Manifest, takeover: why}
	got, err := docs.take(ctx, takeRequest{old: current, etag: etag, intent: c, run: l.Run, holder: b.o.Holder, term: b.o.Lease})
	if errors.Is(err, artifact.ErrChanged) {
		return b.undo(ctx, l, why) // the holder's heartbeat came in between
	}
	if err != nil {
		return Result{}, err
	}
	r, err := b.begin(ctx, got, func() (Record, error) { return b.newRecord(ctx, got.lock) })
	if err != nil {
		return (&run{b: b, docs: docs, lease: got}).fail(ctx, err)
	}
	if err := r.record(ctx, StepRecord, func(rec *Record) { rec.Undo = why }); err != nil {
		return r.fail(ctx, err)
	}
	return r.execute(ctx)
}

// target chooses what to go back to and verifies that it is still there.
func (b *Engine) target(ctx context.Context, v artifact.Version) (t ProvenRelease, current artifact.Version, err error) {
	p, err := b.docs().proven(ctx)
	if err != nil {
		return t, "", err
	}
	s, err := b.observer().observe(ctx, Record{})
	if err != nil {
		return t, "", err
	}
	t, current, err = chooseTarget(s, p, v)
	if err != nil {
		return t, current, err
	}
	return t, current, b.stillThere(ctx, t)
}

// chooseTarget goes to the saved version first when the fleet is not on it,
// as after a refresh that somebody cancelled.
func chooseTarget(s State, p Proven, v artifact.Version) (t ProvenRelease, current artifact.Version, err error) {
	current = "what runs now"
	var digest artifact.Digest
	if len(s.Group.Templates) > 0 {
		if pin, ok := s.pin(s.Group.Templates[0]); ok {
			current, digest = pin.Version, pin.Manifest
		}
	}
	if v != "" {
		t, ok := p.Find(v)
		if !ok {
			return t, current, &NotProven{Group: s.Group.Name, Version: v, Proven: p.versions()}
		}
		return t, current, nil
	}
	i := slices.IndexFunc(p.Releases, func(r ProvenRelease) bool { return r.Manifest == digest })
	if i >= 0 && len(unproven(s, s.Group.Templates)) > 0 {
		return p.Releases[i], "a mixed fleet", nil
	}
	t, ok := p.Previous(digest)
	if !ok {
		return t, current, &NotProven{Group: s.Group.Name, Proven: p.versions()}
	}
	return t, current, nil
}

// stillThere refuses a target whose template version or artifact is gone
// before the group is touched.
func (b *Engine) stillThere(ctx context.Context, t ProvenRelease) error {
	for _, ref := range t.Templates {
		if _, err := b.o.Cloud.Templates.Version(ctx, ref); err != nil {
			return fmt.Errorf("going back to %q: %w", t.Version, err)
		}
	}
	_, digest, err := artifact.Find(ctx, b.o.Store, t.Version)
	if err != nil {
		return fmt.Errorf("going back to %q: %w", t.Version, err)
	}
	if digest != t.Manifest {
		return fmt.Errorf("going back to %q: the store holds manifest %s, proven was %s", t.Version, digest.Short(), t.Manifest.Short())
	}
	return nil
}

func (b *Engine) rollbackRecord(ctx context.Context, l Lock, t ProvenRelease) (Record, error) {
	rec, err := b.newRecord(ctx, l)
	if err != nil {
		return Record{}, err
	}
	rec.Templates = t.Templates
	rec.Steps = []StepTime{{Step: StepTemplate, Time: time.Now().UTC()}}
	return rec, nil
}
