package rollout

import (
	"context"
	"fmt"
	"time"
)

// Watch follows the run that stands in the lock without changing anything,
// until it has an outcome.
func (e *Engine) Watch(ctx context.Context) (Result, error) {
	l, _, err := e.docs.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	if l.Run == "" {
		return Result{}, &NothingOpen{Group: e.o.Group}
	}
	w := &watch{o: &e.o, docs: e.docs, obs: newObserver(&e.o), emitter: e.emitter()}
	result, err := w.follow(ctx, l.Run)
	if err != nil && ctx.Err() != nil {
		return Result{}, &Interrupted{Run: l.Run, Touched: w.rec.Has(StepRefresh)}
	}
	return result, err
}

// watch follows a run that another process performs.
type watch struct {
	o       *Options
	docs    documents
	obs     *observer
	emitter *emitter
	rec     Record // as last read
}

// follow looks at a run until it has an outcome or nobody moves it on.
func (w *watch) follow(ctx context.Context, run string) (Result, error) {
	for {
		attended := w.attended(ctx, run) // before the record: its holder writes the outcome, then goes
		rec, _, err := w.docs.record(ctx, run)
		if err != nil {
			return Result{}, err
		}
		w.rec = rec
		s, err := w.obs.observeRun(ctx, rec)
		if err != nil {
			return Result{}, err
		}
		w.emitter.changes(s)
		if rec.Outcome != "" {
			return resultOf(s, rec.Outcome), nil
		}
		if !attended && (s.Refresh == nil || !s.Refresh.Active()) {
			return Result{}, unattended(run, s.Refresh)
		}
		if a := Next(s); a.Verb == Await {
			w.emitter.waiting(run, a.Text)
		}
		if err := pause(ctx, w.o.Poll); err != nil {
			return Result{}, err
		}
	}
}

// attended reports whether a live process holds the lock for the run.
func (w *watch) attended(ctx context.Context, run string) bool {
	l, _, err := w.docs.lock(ctx)
	return err != nil || l.Run == run && !l.Expires.IsZero() && time.Now().Before(l.Expires) && w.o.Alive(l.Holder)
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
