package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// journal is a run's record while this process holds the lock: only the holder
// writes a record.
type journal struct {
	docs      documents
	lease     *lease
	emitter   *emitter
	afterStep func(Step)
	rec       Record
	etag      string // of rec; empty: it is not written yet
}

// write changes the record and writes it with the step in it, unless the step
// stands there already.
func (j *journal) write(ctx context.Context, s Step, change func(*Record)) error {
	next := j.rec
	change(&next)
	if !next.Has(s) {
		next.Steps = append(next.Steps[:len(next.Steps):len(next.Steps)], StepTime{Step: s, Time: time.Now().UTC()})
	}
	c := artifact.Condition{ETag: j.etag}
	if j.etag == "" {
		c = artifact.Condition{Absent: true}
	}
	etag, err := j.docs.write(ctx, j.docs.recordName(j.rec.Run), next, c)
	if isConflict(err) {
		return j.lost(ctx, err)
	}
	if err != nil {
		return err
	}
	j.rec, j.etag = next, etag
	j.emitter.emit(Event{Kind: "step", Run: j.rec.Run, Step: s, Version: j.rec.Version, Text: stepText(s, j.rec)})
	j.afterStep(s)
	return nil
}

// mark writes a step that changes nothing else.
func (j *journal) mark(ctx context.Context, s Step) error { return j.write(ctx, s, func(*Record) {}) }

// lost explains a record that somebody else wrote: a run that took the lock
// over.
func (j *journal) lost(ctx context.Context, err error) error {
	if ferr := j.lease.fence(ctx); ferr != nil {
		return ferr
	}
	return &InterventionRequired{Run: j.rec.Run, Text: err.Error(), Fix: "wpbake status; then wpbake resume"}
}

// prove writes the list of proven releases, once for a run.
func (j *journal) prove(ctx context.Context, s State, o Outcome) error {
	if j.rec.Has(StepProven) {
		return nil
	}
	s.Record = j.rec
	if err := j.docs.prove(ctx, s, o); err != nil {
		return err
	}
	return j.mark(ctx, StepProven)
}

// prove adds the run of a state's record to the list of proven releases. One
// that was rolled back changes nothing there, whatever the list is like.
func (d documents) prove(ctx context.Context, s State, o Outcome) error {
	if o == RolledBack {
		return nil
	}
	now, rec := time.Now().UTC(), s.Record
	_, err := revise(ctx, d, d.provenName(), func(p Proven) Proven {
		p.Format = 1
		if pin, ok := s.basePin(); ok && rec.Kind == Rollback && pin.Manifest != rec.Manifest {
			p = p.withdrawing(pin.Manifest, now)
		}
		return p.with(ProvenRelease{
			Version: rec.Version, Manifest: rec.Manifest, Run: s.runOfTarget(),
			Templates: s.Templates, Proven: now,
		})
	})
	return err
}

// end writes the outcome and frees the lock, in this order: each can be
// repeated.
func (j *journal) end(ctx context.Context, o Outcome, cause string) error {
	err := j.write(ctx, StepDone, func(rec *Record) {
		rec.Outcome, rec.Cause, rec.Ended = o, cause, time.Now().UTC()
	})
	if err != nil {
		return err
	}
	j.free(ctx)
	return nil
}

// free gives the lock back. What the run has to say stands in its record, so a
// lock that stays until its lease ends is only told.
func (j *journal) free(ctx context.Context) {
	if !j.lease.held() {
		return
	}
	var lost *LeaseLost
	if err := j.lease.free(ctx); err != nil && !errors.As(err, &lost) {
		j.emitter.note(j.rec.Run, "the lock stays until %s: %v", j.lease.lock.Expires.Format("15:04:05"), err)
	}
}

// conclude writes the outcome of an unfinished run whose place in the lock was
// just taken, as far as it can still be seen: a detached release may have been
// proven meanwhile.
func (d documents) conclude(ctx context.Context, o Observation, by Intent) error {
	rec := o.Record
	if rec.Run == "" || rec.Outcome != "" {
		return nil
	}
	a := Next(o.State)
	if a.Verb == UpgradeSchema { // the fleet is proven; the run that takes its place looks at the database anew
		a = Action{Verb: Finish, Outcome: Released}
	}
	if a.Verb != Finish {
		a = Action{Outcome: Unproven, Cause: fmt.Sprintf("unfinished when %s of %s began", by.Kind, by.Version)}
		if o.Refresh == nil && !rec.Has(StepRefresh) {
			a.Outcome = Abandoned
		}
	} else if a.Outcome != Abandoned {
		if err := d.prove(ctx, o.State, a.Outcome); err != nil {
			return err
		}
	}
	rec.Outcome, rec.Ended = a.Outcome, time.Now().UTC()
	if rec.Cause == "" {
		rec.Cause = a.Cause
	}
	_, err := d.write(ctx, d.recordName(rec.Run), rec, artifact.Condition{ETag: o.RecordETag})
	return err
}
