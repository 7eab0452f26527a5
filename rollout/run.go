package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// run is one run that this process performs while it holds the lock.
type run struct {
	o       *Options
	intent  Intent
	obs     *observer
	journal *journal
	emitter *emitter
	schema  schemaStep
}

func (e *Engine) newRun(l *lease, p Plan) *run {
	t := e.emitter()
	j := &journal{docs: e.docs, lease: l, emitter: t, afterStep: e.o.AfterStep}
	j.rec.Run = l.lock.Run
	return &run{
		o: &e.o, intent: p.Intent, obs: p.obs, journal: j, emitter: t,
		schema: schemaStep{journal: j, database: siteDatabase{site: e.o.Site, emitter: t}, snapshot: e.o.Snapshot},
	}
}

// start decides anew, now that the lock is ours, and writes the run's record or
// takes up the one that is there. When the plan is another one by now the lock
// is given back and that one returned.
func (r *run) start(ctx context.Context, p Plan) (*Plan, error) {
	l := r.journal.lease
	about := l.old.Run // a run that begins takes the place of this one
	if p.Run != "" {
		about = p.Run
	}
	o, err := r.obs.observe(ctx, about)
	if err != nil {
		r.giveBack(ctx)
		return nil, err
	}
	if err := l.fenceAgainst(o.Lock); err != nil {
		return nil, err
	}
	if p.Run == "" && o.RecordETag != "" && o.Record.contradiction(l.old, r.o.Group) != "" {
		o.Record, o.RecordETag = Record{}, ""
	}
	if p.Run != "" && o.Record.Run == p.Run {
		if err := r.believes(ctx, o, p.asked); err != nil {
			r.giveBack(ctx)
			return nil, err
		}
		r.journal.rec, r.journal.etag = o.Record, o.RecordETag
		r.continuing()
		return nil, nil
	}
	o.Lock, o.Held = l.old, false // as it was, but that nobody holds it
	held, err := r.obs.planFrom(ctx, o, p.asked)
	if err != nil || !held.sameRun(p) {
		r.giveBack(ctx)
		return &held, err
	}
	if p.Run == "" {
		if err := r.journal.docs.conclude(ctx, o, p.Intent); err != nil {
			r.emitter.note(l.old.Run, "concluding run %s: %v", l.old.Run, err)
		}
	}
	r.emitter.incompatibilities("", held.Intent.Version, held.Incompatibilities)
	if held.Target != nil {
		r.emitter.emit(Event{Kind: "note", Version: held.Intent.Version, Text: fmt.Sprintf("going back from %s to %s", held.leaving, held.Intent.Version)})
	}
	r.journal.rec = held.record(l.lock, Record{Group: r.o.Group, Store: r.o.StoreURL, Holder: r.o.Holder, Started: time.Now().UTC()})
	return nil, r.journal.mark(ctx, StepRecord)
}

// believes compares what a record that is gone on with would steer with what
// was asked and what AWS has: what new nodes would launch from and attach, as
// long as no template version says it; the run's template versions; and the
// schema that the database would be brought to.
func (r *run) believes(ctx context.Context, o Observation, asked Intent) error {
	rec := o.Record
	doubt := func(format string, args ...any) error {
		return &InterventionRequired{Run: rec.Run, Text: fmt.Sprintf("the record of run %s is not believed: ", rec.Run) + fmt.Sprintf(format, args...),
			Fix: fmt.Sprintf("wpbake %s %s as it was typed first; with --on-busy supersede a release begins anew", rec.Kind, rec.Version)}
	}
	if !complete(o.Templates) {
		if image := asked.Baked.Image; rec.Image != image {
			return doubt("its nodes would launch from image %q, not from %q, which was asked for", rec.Image, image)
		}
		if got, want := snapshotOf(rec.Volume), snapshotOf(asked.Baked.Volume); got != want {
			return doubt("its nodes would attach snapshot %q, not %q, which was asked for", got, want)
		}
	}
	for _, t := range o.Templates {
		pin, ok := o.pin(t)
		if t.Version == "" || ok && pin.Manifest == rec.Manifest && (rec.Kind == Rollback || pin.Run == rec.Run) {
			continue
		}
		return doubt("version %s of launch template %s is none that this run made of %s", t.Version, t.ID, rec.Manifest.Short())
	}
	if rec.Code == 0 {
		return nil
	}
	to, err := wordpressOf(ctx, r.intent.storeOr(r.o.Store), rec.Version, rec.Manifest)
	if err != nil {
		return err
	}
	if to == nil || to.DBVersion != rec.Code {
		return doubt("it wants schema %d of the database, which the release does not", rec.Code)
	}
	return nil
}

func snapshotOf(v *Volume) string {
	if v == nil {
		return ""
	}
	return v.Snapshot
}

// takeUp goes on with the run in the lock, after a change that it is to know.
func (r *run) takeUp(ctx context.Context, change func(*Record)) error {
	j := r.journal
	rec, etag, err := j.docs.record(ctx, j.rec.Run)
	if err != nil {
		return err
	}
	if rec.Run == "" {
		return &InterventionRequired{Run: j.rec.Run, Text: fmt.Sprintf("the record of run %s is gone", j.rec.Run), Fix: "wpbake status; then the same command again"}
	}
	if why := rec.contradiction(j.lease.lock, r.o.Group); why != "" {
		return &InterventionRequired{Run: j.rec.Run, Text: fmt.Sprintf("the record of run %s is not believed: %s", j.rec.Run, why),
			Fix: "aws autoscaling rollback-instance-refresh if the release is bad; wpbake status shows what runs"}
	}
	j.rec, j.etag = rec, etag
	r.continuing()
	return j.write(ctx, StepRecord, change)
}

func (r *run) continuing() {
	rec := r.journal.rec
	r.emitter.emit(Event{Kind: "note", Run: rec.Run, Version: rec.Version, Text: fmt.Sprintf("continuing run %s of %s", rec.Run, rec.Version)})
}

// giveBack leaves the lock as it was before a run that did not begin.
func (r *run) giveBack(ctx context.Context) {
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	l := r.journal.lease
	if err := l.restore(whole); err != nil {
		r.emitter.note("", "the lock stays until %s: %v", l.lock.Expires.Format("15:04:05"), err)
	}
}

// execute performs steps until the run has an outcome.
func (r *run) execute(ctx context.Context) (Result, error) {
	for {
		res, err := r.step(ctx)
		if err != nil {
			return r.fail(ctx, err)
		}
		if res != nil {
			return *res, nil
		}
	}
}

// step observes, writes down what has happened and performs the next action.
// The result is nil while the run has no outcome.
func (r *run) step(ctx context.Context) (*Result, error) {
	s, err := r.observe(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.catchUp(ctx, s); err != nil {
		return nil, err
	}
	s.Record = r.journal.rec
	r.emitter.changes(s)
	a := Next(s)
	switch a.Verb {
	case MakeTemplate:
		return nil, r.makeTemplate(ctx, a.From)
	case StartRefresh:
		return r.startRefresh(ctx, s)
	case StartRollback:
		return nil, r.startRollback(ctx, s, a)
	case UpgradeSchema:
		return nil, r.schema.upgrade(ctx, s)
	case Finish:
		return r.finish(ctx, s, a)
	case GiveUp:
		return nil, r.giveUp(ctx, a)
	}
	if r.intent.Detach && s.Refresh != nil && s.Refresh.Active() {
		r.journal.free(ctx)
		res := resultOf(s, Started)
		return &res, nil
	}
	r.emitter.waiting(s.Record.Run, a.Text)
	return nil, pause(ctx, r.o.Poll)
}

// observe renews the lease and observes. While a refresh is under way it bears
// with an AWS or a store that does not answer, for as long as a proof may lag:
// giving up would leave the first node to AWS's own time-out of an hour.
func (r *run) observe(ctx context.Context) (State, error) {
	for begun := time.Now(); ; {
		err := r.journal.lease.renew(ctx)
		if err == nil {
			var s State
			if s, err = r.obs.observeRun(ctx, r.journal.rec); err == nil {
				return s, nil
			}
		}
		if !r.journal.rec.Has(StepRefresh) || !isTransient(err) || time.Since(begun) >= r.o.Settle {
			return State{}, err
		}
		r.emitter.waiting(r.journal.rec.Run, fmt.Sprintf("asking again: %v", err))
		if perr := pause(ctx, r.o.Poll); perr != nil {
			return State{}, perr
		}
	}
}

// isTransient reports whether waiting may mend an error.
func isTransient(err error) bool {
	var lost *LeaseLost
	var intervention *InterventionRequired
	if errors.As(err, &lost) || errors.As(err, &intervention) {
		return false
	}
	for _, permanent := range []error{
		context.Canceled, ErrCredentials, ErrDenied, ErrNoGroup,
		artifact.ErrCredentials, artifact.ErrDenied, artifact.ErrNoBucket,
	} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	return true
}

// catchUp writes steps whose effect is there but which were not recorded: the
// process that caused them died in between, or AWS did them by itself.
func (r *run) catchUp(ctx context.Context, s State) error {
	j := r.journal
	if !j.rec.Has(StepTemplate) && complete(s.Templates) {
		if err := j.write(ctx, StepTemplate, func(rec *Record) { rec.Templates = s.Templates }); err != nil {
			return err
		}
	}
	if s.Refresh == nil {
		return nil
	}
	if !j.rec.Has(StepRefresh) {
		if err := j.write(ctx, StepRefresh, func(rec *Record) { rec.Refresh = s.Refresh.ID }); err != nil {
			return err
		}
	}
	if !j.rec.Has(StepVerdict) {
		if v := judge(s); v.state == verdictGood {
			if err := j.mark(ctx, StepVerdict); err != nil {
				return err
			}
		}
	}
	if isRollback(s.Refresh.Status) && !j.rec.Has(StepRollback) {
		if err := r.recordRollback(ctx, s); err != nil {
			return err
		}
	}
	if !s.Refresh.Active() && !j.rec.Has(StepSettled) {
		return j.mark(ctx, StepSettled)
	}
	return nil
}

// recordRollback records a rollback that is under way. When this run did not
// ask for it, the cause is what a bad node said, else what AWS says.
func (r *run) recordRollback(ctx context.Context, s State) error {
	a := Action{Cause: r.journal.rec.Cause, Node: r.journal.rec.BadNode}
	if a.Cause == "" {
		a.Cause = "the refresh was rolled back by AWS or by somebody else" + reasonOf(*s.Refresh)
		if _, bad := newReports(s); len(bad) > 0 {
			a.Cause, a.Node = badNode(bad[0]), bad[0].Instance
		}
		r.saveEvidence(ctx, s, a)
	}
	return r.journal.write(ctx, StepRollback, func(rec *Record) { rec.Cause, rec.BadNode = a.Cause, a.Node })
}

func complete(ts []TemplateRef) bool {
	for _, t := range ts {
		if t.Version == "" {
			return false
		}
	}
	return len(ts) > 0
}

func isRollback(status string) bool {
	return status == statusRollbackInProgress || status == statusRollbackSuccessful || status == statusRollbackFailed
}

// fail turns an interruption into *Interrupted and gives the lock back, so
// that another process can go on at once.
func (r *run) fail(ctx context.Context, err error) (Result, error) {
	var lost *LeaseLost
	if errors.As(err, &lost) {
		return Result{}, err
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r.journal.free(clean)
	var unattended *Unattended
	if errors.As(err, &unattended) {
		return Result{}, err
	}
	rec := r.journal.rec
	if ctx.Err() != nil {
		return Result{}, &Interrupted{Run: rec.Run, Touched: rec.Has(StepRefresh)}
	}
	var intervention *InterventionRequired
	var untouched *FailedUntouched
	if rec.Has(StepRefresh) && !errors.As(err, &intervention) && !errors.As(err, &untouched) {
		return Result{}, &Unattended{Run: rec.Run, Err: err}
	}
	return Result{}, err
}
