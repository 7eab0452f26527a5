package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Release rolls a published version through the group and returns once every
// node is proven on it, or once the group is proven back on what ran before.
// The same call again continues a run that died and does nothing when there
// is nothing left to do.
//
// Errors: *Refused, *Busy and *Unfinished before anything was changed,
// *FailedUntouched when no node was moved, *InterventionRequired, *Unattended,
// *Interrupted and *LeaseLost afterwards.
func (b *Engine) Release(ctx context.Context, v artifact.Version, manifest artifact.Digest) (Result, error) {
	c := intent{kind: Release, version: v, manifest: manifest}
	if err := b.Preflight(ctx, v); err != nil {
		return Result{}, err
	}
	open, err := b.unfinished(ctx)
	if err != nil {
		return Result{}, err
	}
	p, err := b.preflight(ctx, c)
	if err != nil {
		return Result{}, err
	}
	if b.o.OnBusy == Supersede && open != nil && !c.same(*open) {
		if c.takeover, err = b.supersede(ctx, *open, c); err != nil {
			return Result{}, err
		}
	}
	return b.run(ctx, c, func(l Lock) (Record, error) {
		rec, err := b.newRecord(ctx, l)
		p.into(&rec)
		return rec, err
	})
}

// preflight looks at the database for a release that begins now. One that has begun
// was looked at then.
func (b *Engine) preflight(ctx context.Context, c intent) (acceptance, error) {
	open, err := b.unfinished(ctx)
	if err != nil {
		return acceptance{}, err
	}
	if open != nil && c.same(*open) {
		if rec, _, err := b.docs().record(ctx, open.Run); err != nil || rec.Run != "" {
			return acceptance{}, err
		}
	}
	if _, done, err := b.upToDate(ctx, c); err != nil || done {
		return acceptance{}, err
	}
	p, err := b.acceptance(ctx, Release, c.version, c.manifest)
	if err != nil {
		return acceptance{}, err
	}
	return p, b.checkCompatibility(Release, c.version, p)
}

// Preflight refuses what Release would refuse, and changes nothing: callers
// ask it before they build and publish. A run of the same version that died
// may always be continued, whatever the group looks like by now.
func (b *Engine) Preflight(ctx context.Context, v artifact.Version) error {
	open, err := b.unfinished(ctx)
	if err != nil {
		return err
	}
	if open != nil && open.Kind == Release && open.Version == v {
		return nil
	}
	if err := b.refuseFindings(ctx); err != nil {
		return err
	}
	if open == nil || b.o.OnBusy != Fail {
		return nil
	}
	if b.held(*open) {
		return &Busy{Group: b.o.Group, Lock: *open}
	}
	_, err = b.runFor(ctx, *open, intent{kind: Release, version: v})
	return err
}

// run takes the lock for a intent and executes its run, unless there is
// nothing left to do.
func (b *Engine) run(ctx context.Context, c intent, fresh func(Lock) (Record, error)) (Result, error) {
	l, res, err := b.acquire(ctx, c)
	if l == nil {
		return res, err
	}
	r, err := b.begin(ctx, l, func() (Record, error) { return fresh(l.lock) })
	if err != nil {
		return (&run{b: b, docs: b.docs(), lease: l}).fail(ctx, err)
	}
	return r.execute(ctx)
}

// acquire takes the group's lock. The run it names is that of an unfinished
// run with the same aim, if there is one, else a new one. Without a lease the
// result or the error is final.
func (b *Engine) acquire(ctx context.Context, c intent) (*lease, Result, error) {
	for {
		l, etag, joinedRun, err := b.await(ctx, c)
		if err != nil {
			return nil, Result{}, err
		}
		run, err := b.runFor(ctx, l, c)
		if err != nil {
			return nil, Result{}, err
		}
		if run != l.Run {
			if res, ok, err := b.upToDateOrJoined(ctx, c, joinedRun); ok || err != nil {
				return nil, res, err
			}
		}
		got, err := b.docs().take(ctx, takeRequest{old: l, etag: etag, intent: c, run: run, holder: b.o.Holder, term: b.o.Lease})
		if errors.Is(err, artifact.ErrChanged) || errors.Is(err, artifact.ErrExists) {
			continue
		}
		if err == nil && run != l.Run {
			b.replace(ctx, l, c)
		}
		return got, Result{}, err
	}
}

// upToDateOrJoined answers without a run of its own: the group is on the release
// already, or joinedRun, a run of the same release that was waited for, has ended.
func (b *Engine) upToDateOrJoined(ctx context.Context, c intent, joinedRun string) (Result, bool, error) {
	if res, ok, err := b.upToDate(ctx, c); ok || err != nil || joinedRun == "" {
		return res, ok, err
	}
	rec, _, err := b.docs().record(ctx, joinedRun)
	if err != nil || rec.Outcome == "" {
		return Result{}, false, err
	}
	res, err := b.ended(ctx, rec)
	return res, err == nil, err
}

// ended is the result that a finished run's record stands for.
func (b *Engine) ended(ctx context.Context, rec Record) (Result, error) {
	s, err := b.observer().observe(ctx, rec)
	if err != nil {
		return Result{}, err
	}
	r := &run{b: b, docs: b.docs(), rec: rec}
	return r.result(s, Action{Outcome: rec.Outcome}), nil
}

// replace writes the outcome of an unfinished run whose place in the lock was
// just taken, as far as it can still be seen: a detached release may have been
// proven meanwhile. The run that took its place goes on in any case.
func (b *Engine) replace(ctx context.Context, old Lock, c intent) {
	err := b.conclude(ctx, old.Run, fmt.Sprintf("unfinished when %s of %s began", c.kind, c.version))
	if err != nil {
		b.emit(Event{Kind: "note", Run: old.Run, Text: fmt.Sprintf("concluding run %s: %v", old.Run, err)})
	}
}

func (b *Engine) conclude(ctx context.Context, name, why string) error {
	if name == "" {
		return nil
	}
	rec, etag, err := b.docs().record(ctx, name)
	if err != nil || rec.Run == "" || rec.Outcome != "" {
		return err
	}
	r := &run{b: b, docs: b.docs(), rec: rec, observer: b.observer()}
	s, err := r.observer.observe(ctx, rec)
	if err != nil {
		return err
	}
	a := Next(s)
	if a.Verb == UpgradeSchema { // the fleet is proven; the run that takes its place looks at the database anew
		a = Action{Verb: Finish, Outcome: Released}
	}
	if a.Verb != Finish {
		a = Action{Outcome: Unproven, Cause: why}
		if s.Refresh == nil && !rec.Has(StepRefresh) {
			a.Outcome = Abandoned
		}
	} else if a.Outcome != Abandoned {
		if err := r.writeProven(ctx, s, a.Outcome); err != nil {
			return err
		}
	}
	rec.Outcome, rec.Cause, rec.Ended = a.Outcome, cmp.Or(rec.Cause, a.Cause), time.Now().UTC()
	_, err = r.docs.write(ctx, r.docs.recordName(name), rec, artifact.Condition{ETag: etag})
	return err
}

// unfinished returns the lock of a run without an outcome, if there is one.
func (b *Engine) unfinished(ctx context.Context) (*Lock, error) {
	l, _, err := b.docs().lock(ctx)
	if err != nil || l.Run == "" {
		return nil, err
	}
	rec, _, err := b.docs().record(ctx, l.Run)
	if err != nil || rec.Outcome != "" {
		return nil, err
	}
	return &l, nil
}

// upToDate answers for a group whose every node is proven on the release, with
// no refresh active: there is nothing to do.
func (b *Engine) upToDate(ctx context.Context, c intent) (Result, bool, error) {
	s, err := b.observer().observe(ctx, Record{})
	if err != nil {
		return Result{}, false, err
	}
	if s.Foreign != nil || len(s.Group.Templates) == 0 {
		return Result{}, false, nil
	}
	pin, ok := s.pin(s.Group.Templates[0])
	if !ok || pin.Manifest != c.manifest || len(unproven(s, s.Group.Templates)) > 0 {
		return Result{}, false, nil
	}
	if same, err := b.carries(ctx, c, s.Group.Templates[0], pin); err != nil || !same {
		return Result{}, false, err
	}
	return Result{
		Outcome: UpToDate, Kind: c.kind, Group: b.o.Group, Run: pin.Run, Version: c.version, Manifest: c.manifest,
		Templates: s.Group.Templates, Serving: pin.Version, Nodes: provenNodes(s.Group),
	}, true, nil
}

// carries tells whether a template version has the content that was baked for
// the intent; one that bakes nothing is content with any.
func (b *Engine) carries(ctx context.Context, c intent, ref TemplateRef, pin Boot) (bool, error) {
	want := b.o.Baked
	if c.kind != Release {
		return true, nil
	}
	if want.Volume != nil && want.Volume.Snapshot != pin.Volume {
		return false, nil
	}
	if want.Image == "" {
		return true, nil
	}
	v, err := b.o.Cloud.Templates.Version(ctx, ref)
	return v.ImageID == want.Image, err
}

// supersede ends another run so that c can begin: its refresh, if one is
// active, is rolled back first. It answers with the word for the lock.
func (b *Engine) supersede(ctx context.Context, open Lock, c intent) (string, error) {
	why := fmt.Sprintf("superseded by %s of %s", c.kind, c.version)
	active, err := b.activeRefresh(ctx)
	if err != nil {
		return "", err
	}
	rec, _, err := b.docs().record(ctx, open.Run)
	if err != nil {
		return "", err
	}
	if active != nil && rec.owns(*active) {
		if _, err := b.undo(ctx, open, why); err != nil {
			return "", err
		}
	}
	return why, nil
}

// Resume takes up the run that stands in the lock and executes it to its end.
func (b *Engine) Resume(ctx context.Context) (Result, error) {
	open, err := b.unfinished(ctx)
	if err != nil {
		return Result{}, err
	}
	if open == nil {
		return Result{}, &NothingOpen{Group: b.o.Group}
	}
	c := intent{kind: open.Kind, version: open.Version, manifest: open.Manifest}
	return b.run(ctx, c, func(l Lock) (Record, error) { return b.resumedRecord(ctx, l) })
}

// resumedRecord is for a run that died between taking the lock and writing
// its record.
func (b *Engine) resumedRecord(ctx context.Context, l Lock) (Record, error) {
	if l.Kind == Release {
		rec, err := b.newRecord(ctx, l)
		if err != nil {
			return Record{}, err
		}
		p, err := b.acceptance(ctx, Release, l.Version, l.Manifest)
		if err != nil {
			return Record{}, err
		}
		p.into(&rec)
		return rec, b.checkCompatibility(Release, l.Version, p)
	}
	p, err := b.docs().proven(ctx)
	if err != nil {
		return Record{}, err
	}
	target, ok := p.Find(l.Version)
	if !ok {
		return Record{}, &NotProven{Group: b.o.Group, Version: l.Version, Proven: p.versions()}
	}
	rec, err := b.rollbackRecord(ctx, l, target)
	if err != nil {
		return Record{}, err
	}
	way, err := b.acceptance(ctx, Rollback, target.Version, target.Manifest)
	if err != nil {
		return Record{}, err
	}
	way.into(&rec)
	return rec, b.checkCompatibility(Rollback, target.Version, way)
}

// Watch follows the run that stands in the lock without changing anything,
// until it has an outcome.
func (b *Engine) Watch(ctx context.Context) (Result, error) {
	l, _, err := b.docs().lock(ctx)
	if err != nil {
		return Result{}, err
	}
	if l.Run == "" {
		return Result{}, &NothingOpen{Group: b.o.Group}
	}
	w := &run{b: b, docs: b.docs(), observer: b.observer()}
	result, err := w.follow(ctx, l.Run)
	if err != nil && ctx.Err() != nil {
		return Result{}, &Interrupted{Run: l.Run, Touched: w.rec.Has(StepRefresh)}
	}
	return result, err
}

// follow looks at a run until it has an outcome or nobody moves it on.
func (r *run) follow(ctx context.Context, id string) (Result, error) {
	for {
		attended := r.b.attended(ctx, id) // before the record: its holder writes the outcome, then goes
		rec, _, err := r.docs.record(ctx, id)
		if err != nil {
			return Result{}, err
		}
		r.rec = rec
		s, err := r.observer.observe(ctx, r.rec)
		if err != nil {
			return Result{}, err
		}
		r.emitChanges(s)
		if r.rec.Outcome != "" {
			return r.result(s, Action{Outcome: r.rec.Outcome}), nil
		}
		if !attended && (s.Refresh == nil || !s.Refresh.Active()) {
			return Result{}, unattended(id, s.Refresh)
		}
		if a := Next(s); a.Verb == Await {
			r.wait(a.Text)
		}
		if err := pause(ctx, r.b.o.Poll); err != nil {
			return Result{}, err
		}
	}
}

// unattended is a run that nothing will move on but a person.
func unattended(run string, f *Refresh) error {
	if f == nil {
		return &FailedUntouched{Run: run, Cause: fmt.Sprintf("run %s stopped before its refresh and nobody attends it", run),
			Fix: "wpbake resume goes on with it"}
	}
	return &InterventionRequired{Run: run, Fix: "wpbake resume writes the outcome down",
		Text: fmt.Sprintf("instance refresh %s ended %s and nobody attends run %s any more", f.ID, f.Status, run)}
}

// attended reports whether a live process holds the lock for the run.
func (b *Engine) attended(ctx context.Context, run string) bool {
	l, _, err := b.docs().lock(ctx)
	return err != nil || l.Run == run && !l.Expires.IsZero() && time.Now().Before(l.Expires) && b.o.Alive(l.Holder)
}
