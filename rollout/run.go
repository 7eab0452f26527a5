package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// run is one run being performed by this process.
type run struct {
	b        *Engine
	docs     documents
	lease    *lease
	rec      Record
	etag     string
	observer *observer
	emitted  emitted
}

// begin continues the run that the lease names, or writes its record. fresh
// returns the record of a run that starts now.
func (b *Engine) begin(ctx context.Context, l *lease, fresh func() (Record, error)) (*run, error) {
	r := &run{b: b, docs: b.docs(), lease: l, observer: b.observer()}
	b.o.AfterStep(StepLock)
	rec, etag, err := r.docs.record(ctx, l.lock.Run)
	if err != nil {
		return nil, err
	}
	r.rec, r.etag = rec, etag
	if rec.Run != "" {
		b.emit(Event{Kind: "note", Run: rec.Run, Version: rec.Version, Text: fmt.Sprintf("continuing run %s of %s", rec.Run, rec.Version)})
		return r, nil
	}
	if r.rec, err = fresh(); err != nil {
		return nil, err
	}
	return r, r.record(ctx, StepRecord, func(*Record) {})
}

// newRecord is the record of a run that starts from the group as it is.
func (b *Engine) newRecord(ctx context.Context, l Lock) (Record, error) {
	g, err := b.o.Cloud.Groups.Group(ctx, b.o.Group)
	if err != nil {
		return Record{}, err
	}
	refreshes, err := b.o.Cloud.Refreshes.Refreshes(ctx, b.o.Group)
	if err != nil {
		return Record{}, err
	}
	rec := Record{
		Format: 1, Run: l.Run, Kind: l.Kind, Group: b.o.Group, Store: b.o.StoreURL,
		Version: l.Version, Manifest: l.Manifest, Base: g.Templates, Image: b.o.Baked.Image, Volume: b.o.Baked.Volume,
		Holder: b.o.Holder, Started: time.Now().UTC(),
	}
	if len(refreshes) > 0 {
		rec.Last = refreshes[0].ID
	}
	return rec, nil
}

// record changes the record and writes it with the step in it, unless the step
// stands there already. Only the holder of the lock writes a record.
func (r *run) record(ctx context.Context, s Step, change func(*Record)) error {
	next := r.rec
	change(&next)
	if !next.Has(s) {
		next.Steps = append(next.Steps[:len(next.Steps):len(next.Steps)], StepTime{Step: s, Time: time.Now().UTC()})
	}
	c := artifact.Condition{ETag: r.etag}
	if r.etag == "" {
		c = artifact.Condition{Absent: true}
	}
	etag, err := r.docs.write(ctx, r.docs.recordName(r.rec.Run), next, c)
	if errors.Is(err, artifact.ErrChanged) || errors.Is(err, artifact.ErrExists) {
		return r.lostRecord(ctx, err)
	}
	if err != nil {
		return err
	}
	r.rec, r.etag = next, etag
	r.b.emit(Event{Kind: "step", Run: r.rec.Run, Step: s, Version: r.rec.Version, Text: stepText(s, r.rec)})
	r.b.o.AfterStep(s)
	return nil
}

// lostRecord explains a record that somebody else wrote: a run that took the
// lock over.
func (r *run) lostRecord(ctx context.Context, err error) error {
	l, _, lerr := r.docs.lock(ctx)
	if lerr != nil {
		return lerr
	}
	if l.Fence != r.lease.lock.Fence {
		return &LeaseLost{Run: r.rec.Run, By: l}
	}
	return &InterventionRequired{Run: r.rec.Run, Text: err.Error(), Fix: "wpbake status; then wpbake resume"}
}

// execute performs steps until the run has an outcome.
func (r *run) execute(ctx context.Context) (Result, error) {
	for {
		res, done, err := r.step(ctx)
		if err != nil {
			return r.fail(ctx, err)
		}
		if done {
			return res, nil
		}
	}
}

func (r *run) step(ctx context.Context) (Result, bool, error) {
	s, err := r.observe(ctx)
	if err != nil {
		return Result{}, false, err
	}
	if err := r.catchUp(ctx, s); err != nil {
		return Result{}, false, err
	}
	s.Record = r.rec
	r.emitChanges(s)
	a := Next(s)
	switch a.Verb {
	case MakeTemplate:
		return Result{}, false, r.makeTemplate(ctx, s, a.From)
	case StartRefresh:
		return r.startRefresh(ctx, s)
	case StartRollback:
		return Result{}, false, r.startRollback(ctx, s, a)
	case UpgradeSchema:
		return Result{}, false, r.upgradeSchema(ctx, s)
	case Finish:
		res, err := r.finish(ctx, s, a)
		return res, err == nil, err
	case GiveUp:
		return Result{}, false, r.giveUp(ctx, a)
	}
	if r.b.o.Detach && s.Refresh != nil && s.Refresh.Active() {
		r.free(ctx)
		return r.result(s, Action{Outcome: Started}), true, nil
	}
	r.wait(a.Text)
	return Result{}, false, pause(ctx, r.b.o.Poll)
}

// observe renews the lease and observes. While a refresh is under way it bears
// with an AWS or a store that does not answer, for as long as a proof may lag:
// giving up would leave the first node to AWS's own time-out of an hour.
func (r *run) observe(ctx context.Context) (State, error) {
	for begun := time.Now(); ; {
		err := r.lease.renew(ctx)
		if err == nil {
			var s State
			if s, err = r.observer.observe(ctx, r.rec); err == nil {
				return s, nil
			}
		}
		if !r.rec.Has(StepRefresh) || !isTransient(err) || time.Since(begun) >= r.b.o.Settle {
			return State{}, err
		}
		r.wait(fmt.Sprintf("asking again: %v", err))
		if perr := pause(ctx, r.b.o.Poll); perr != nil {
			return State{}, perr
		}
	}
}

// isTransient reports whether waiting may mend an error.
func isTransient(err error) bool {
	var lost *LeaseLost
	var person *InterventionRequired
	if errors.As(err, &lost) || errors.As(err, &person) {
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
	if !r.rec.Has(StepTemplate) && complete(s.Templates) {
		if err := r.record(ctx, StepTemplate, func(rec *Record) { rec.Templates = s.Templates }); err != nil {
			return err
		}
	}
	if s.Refresh == nil {
		return nil
	}
	if !r.rec.Has(StepRefresh) {
		if err := r.record(ctx, StepRefresh, func(rec *Record) { rec.Refresh = s.Refresh.ID }); err != nil {
			return err
		}
	}
	if !r.rec.Has(StepVerdict) {
		if v := judge(s); v.state == verdictGood {
			if err := r.record(ctx, StepVerdict, func(*Record) {}); err != nil {
				return err
			}
		}
	}
	if isRollback(s.Refresh.Status) && !r.rec.Has(StepRollback) {
		if err := r.recordRollback(ctx, s); err != nil {
			return err
		}
	}
	if !s.Refresh.Active() && !r.rec.Has(StepSettled) {
		return r.record(ctx, StepSettled, func(*Record) {})
	}
	return nil
}

// recordRollback records a rollback that is under way. When this run did not ask
// for it, the cause is what a bad node said, else what AWS says.
func (r *run) recordRollback(ctx context.Context, s State) error {
	a := Action{Cause: r.rec.Cause, Node: r.rec.BadNode}
	if a.Cause == "" {
		a.Cause = "the refresh was rolled back by AWS or by somebody else" + reasonOf(*s.Refresh)
		if _, bad := newReports(s); len(bad) > 0 {
			a.Cause, a.Node = badNode(bad[0]), bad[0].Instance
		}
		r.saveEvidence(ctx, s, a)
	}
	return r.record(ctx, StepRollback, func(rec *Record) { rec.Cause, rec.BadNode = a.Cause, a.Node })
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
	r.free(clean)
	var adrift *Unattended
	if errors.As(err, &adrift) {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, &Interrupted{Run: r.rec.Run, Touched: r.rec.Has(StepRefresh)}
	}
	var person *InterventionRequired
	var untouched *FailedUntouched
	if r.rec.Has(StepRefresh) && !errors.As(err, &person) && !errors.As(err, &untouched) {
		return Result{}, &Unattended{Run: r.rec.Run, Err: err}
	}
	return Result{}, err
}
