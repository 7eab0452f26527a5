package rollout

import (
	"context"
	"fmt"
	"time"
)

// Execute does what a plan says. It takes the group's lock, observes once more
// and decides anew: what the group has then is what the run starts from. It
// returns once every node is proven on what was planned, or once the group is
// proven back on what ran before. The same plan again continues a run that died
// and does nothing when there is nothing left to do.
//
// Errors: those of Plan before anything was changed, *FailedUntouched when no
// node was moved, *InterventionRequired, *Unattended, *Interrupted and
// *LeaseLost afterwards.
func (e *Engine) Execute(ctx context.Context, p Plan) (Result, error) {
	for joinedRun := ""; ; {
		switch {
		case p.UpToDate != nil:
			return *p.UpToDate, nil
		case p.Wait != nil:
			if p.Run != "" {
				joinedRun = p.Run
			}
			next, res, err := e.await(ctx, p, joinedRun)
			if err != nil || res != nil {
				return orZero(res), err
			}
			p = next
		case p.Undo != "":
			res, err := e.undo(ctx, p)
			if err != nil || p.takeover == "" {
				return res, err
			}
			if p, err = p.obs.plan(ctx, p.asked); err != nil {
				return Result{}, err
			}
		default:
			next, res, err := e.begin(ctx, p)
			if err != nil || res != nil {
				return orZero(res), err
			}
			p = next
		}
	}
}

func orZero(r *Result) Result {
	if r == nil {
		return Result{}
	}
	return *r
}

// await observes until nothing is in the plan's way any more and plans anew.
// With a result there is nothing left to plan: the group is on the release, or
// the run of the same release that was waited for has ended.
func (e *Engine) await(ctx context.Context, p Plan, joinedRun string) (Plan, *Result, error) {
	l, in := *p.Wait, p.Intent
	e.emitter().waiting(l.Run, fmt.Sprintf("waiting for %s (%s of %s, run %s)", l.Holder.Name, l.Kind, l.Version, l.Run))
	for {
		if err := pause(ctx, e.o.Poll); err != nil {
			return p, nil, &Interrupted{}
		}
		o, err := p.obs.observe(ctx, "")
		if err != nil {
			return p, nil, err
		}
		if o.waits(in) {
			continue
		}
		if joinedRun != "" && !o.joins(in) {
			if res, ok := o.upToDate(in); ok {
				return p, &res, nil
			}
			if res, err := e.ended(ctx, p.obs, in, joinedRun); err != nil || res != nil {
				return p, res, err
			}
		}
		next, err := p.obs.planFrom(ctx, o, p.asked)
		return next, nil, err
	}
}

// waits reports whether another run is still in the way of an intent that is to
// wait for it.
func (o Observation) waits(in Intent) bool {
	if o.joins(in) {
		return o.Held
	}
	return in.OnBusy == Wait && (o.Held || o.open() && o.owned(o.active()))
}

// ended is the result that a finished run's record stands for, nil for one
// without an outcome or of another aim.
func (e *Engine) ended(ctx context.Context, obs *observer, in Intent, run string) (*Result, error) {
	rec, _, err := e.docs.record(ctx, run)
	if err != nil || rec.Outcome == "" || !in.same(Lock{Kind: rec.Kind, Version: rec.Version, Manifest: rec.Manifest}) {
		return nil, err
	}
	s, err := obs.observeRun(ctx, rec)
	if err != nil {
		return nil, err
	}
	res := resultOf(s, rec.Outcome)
	return &res, nil
}

// begin takes the lock and executes the plan's run. Without a result and an
// error, another plan is to be executed: somebody was faster, or what the lock
// protects was not any more as the plan had it.
func (e *Engine) begin(ctx context.Context, p Plan) (Plan, *Result, error) {
	l, err := e.take(ctx, p)
	if isConflict(err) {
		next, err := p.obs.plan(ctx, p.asked)
		return next, nil, err
	}
	if err != nil {
		return p, nil, err
	}
	r := e.newRun(l, p)
	e.o.AfterStep(StepLock)
	next, err := r.start(ctx, p)
	if err != nil {
		_, err = r.fail(ctx, err)
		return p, nil, err
	}
	if next != nil {
		return *next, nil, nil
	}
	res, err := r.execute(ctx)
	return p, &res, err
}

func (e *Engine) take(ctx context.Context, p Plan) (*lease, error) {
	run := p.Run
	if run == "" {
		run = NewRun(time.Now())
	}
	return e.docs.acquire(ctx, leaseRequest{
		seen: p.Observation.Lock, etag: p.Observation.LockETag, intent: p.Intent, run: run,
		takeover: p.takeover, holder: e.o.Holder, term: e.o.Lease,
	})
}

// undo takes over the run in the lock and turns its refresh back.
func (e *Engine) undo(ctx context.Context, p Plan) (Result, error) {
	of := p
	of.Intent, of.Run, of.takeover = Intent{}.of(p.Observation.Lock), p.Observation.Lock.Run, p.Undo
	l, err := e.take(ctx, of)
	for isConflict(err) { // the holder's heartbeat came in between
		if of.Observation.Lock, of.Observation.LockETag, err = e.docs.lock(ctx); err != nil {
			return Result{}, err
		}
		if of.Observation.Lock.Run != of.Run {
			return Result{}, &Busy{Group: e.o.Group, Lock: of.Observation.Lock}
		}
		l, err = e.take(ctx, of)
	}
	if err != nil {
		return Result{}, err
	}
	r := e.newRun(l, of)
	e.o.AfterStep(StepLock)
	if err := r.takeUp(ctx, func(rec *Record) { rec.Undo = p.Undo }); err != nil {
		return r.fail(ctx, err)
	}
	return r.execute(ctx)
}
