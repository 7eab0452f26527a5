package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// realRefreshes is embedded by a name that is not its method's.
type realRefreshes = rollout.Refreshes

// refreshes drives instance refreshes as AWS does, but for what a test puts in
// place of a call.
type refreshes struct {
	realRefreshes
	start    func(context.Context, rollout.NewRefresh) (string, error)
	rollback func(context.Context, string) error
}

func (r refreshes) Start(ctx context.Context, n rollout.NewRefresh) (string, error) {
	if r.start == nil {
		return r.realRefreshes.Start(ctx, n)
	}
	return r.start(ctx, n)
}

func (r refreshes) Rollback(ctx context.Context, group string) error {
	if r.rollback == nil {
		return r.realRefreshes.Rollback(ctx, group)
	}
	return r.rollback(ctx, group)
}

// groups does not answer while silent says so.
type groups struct {
	rollout.Groups
	silent func() bool
}

func (g groups) Group(ctx context.Context, name string) (rollout.Group, error) {
	if g.silent() {
		return rollout.Group{}, errors.New("calling DescribeAutoScalingGroups: connection reset")
	}
	return g.Groups.Group(ctx, name)
}

// active is the newest refresh while it is under way.
func (w *world) active() bool {
	w.t.Helper()
	rs, err := w.clients.Cloud().Refreshes.Refreshes(w.ctx, w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(rs) > 0 && rs[0].Active()
}

// detached starts a release that nobody attends.
func (w *world) detached(v artifact.Version) {
	w.t.Helper()
	if _, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: v, Manifest: w.publish(v), Detach: true}); err != nil {
		w.t.Fatal(err)
	}
}

// outcomes are those of all runs, newest first.
func (w *world) outcomes() []rollout.Outcome {
	w.t.Helper()
	records, err := w.engine(rollout.Options{}).History(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var os []rollout.Outcome
	for _, r := range records {
		os = append(os, r.Outcome)
	}
	return os
}

// A start whose answer is lost is found again by what it refreshes to.
func TestStartAnswerLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		cloud := w.clients.Cloud()
		inner := cloud.Refreshes
		cloud.Refreshes = refreshes{realRefreshes: inner, start: func(ctx context.Context, n rollout.NewRefresh) (string, error) {
			if _, err := inner.Start(ctx, n); err != nil {
				return "", err
			}
			return "", errors.New("connection reset")
		}}
		res, err := w.engine(rollout.Options{Cloud: cloud}).Release(w.ctx, to("v1", w.publish("v1")))
		if err != nil || res.Outcome != rollout.Released || w.refreshes() != 1 {
			t.Errorf("%+v, %v, %d refreshes", res, err, w.refreshes())
		}
	})
}

// An interrupt in the middle of a start does not leave it unknown whether the
// group was touched.
func TestInterruptWhileStarting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		ctx, interrupt := context.WithCancel(w.ctx)
		cloud := w.clients.Cloud()
		inner := cloud.Refreshes
		cloud.Refreshes = refreshes{realRefreshes: inner, start: func(ctx context.Context, n rollout.NewRefresh) (string, error) {
			interrupt()
			return inner.Start(ctx, n)
		}}
		digest := w.publish("v1")
		var stopped *rollout.Interrupted
		if _, err := w.engine(rollout.Options{Cloud: cloud}).Release(ctx, to("v1", digest)); !errors.As(err, &stopped) || !stopped.Touched || w.refreshes() != 1 {
			t.Fatalf("%v, %d refreshes", err, w.refreshes())
		}
		if res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v1", digest)); err != nil || res.Outcome != rollout.Released || w.refreshes() != 1 {
			t.Errorf("again: %+v, %v, %d refreshes", res, err, w.refreshes())
		}
	})
}

// An AWS that does not answer for minutes ends no release under way.
func TestAWSSilentForMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		var since time.Time
		cloud := w.clients.Cloud()
		cloud.Groups = groups{Groups: cloud.Groups, silent: func() bool {
			if since.IsZero() && w.active() {
				since = time.Now()
			}
			return !since.IsZero() && time.Since(since) < 3*time.Minute
		}}
		if res, err := w.engine(rollout.Options{Cloud: cloud}).Release(w.ctx, to("v2", digest)); err != nil || res.Outcome != rollout.Released {
			t.Errorf("%+v, %v", res, err)
		}
		since = time.Time{}
		cloud.Groups = groups{Groups: w.clients.Cloud().Groups, silent: w.active}
		var unattended *rollout.Unattended
		if _, err := w.engine(rollout.Options{Cloud: cloud, Settle: time.Second}).Release(w.ctx, to("v3", w.publish("v3"))); !errors.As(err, &unattended) {
			t.Errorf("for ever: %v", err)
		}
	})
}

// A change of the group while a run prepares ends that run, so that the same
// command starts from what the group has now.
func TestGroupChangedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		if !w.killedAfter(rollout.StepTemplate, "v2", digest) {
			t.Fatal("the run never made a template version")
		}
		back := w.state().Templates
		back[0].Version = "1"
		w.must(nil, w.clients.Cloud().Groups.Pin(w.ctx, w.group, back))
		var untouched *rollout.FailedUntouched
		if _, err := w.engine(rollout.Options{Holder: owner.Holder{Name: "second"}}).Release(w.ctx, to("v2", digest)); !errors.As(err, &untouched) {
			t.Fatalf("got %v", err)
		}
		if res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", digest)); err != nil || res.Outcome != rollout.Released {
			t.Errorf("again: %+v, %v", res, err)
		}
	})
}

// A rollback that comes too late to turn the refresh back goes back all the
// same.
func TestRollbackOfAReleaseThatJustEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.detached("v2")
		cloud := w.clients.Cloud()
		inner := cloud.Refreshes
		cloud.Refreshes = refreshes{realRefreshes: inner, rollback: func(context.Context, string) error {
			w.until("the refresh has ended", func() bool { return !w.active() })
			return rollout.ErrNoRefresh
		}}
		res, err := w.engine(rollout.Options{Cloud: cloud}).Rollback(w.ctx, back(""))
		if err != nil || res.Outcome != rollout.Released || res.Kind != rollout.Rollback || res.Version != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

// A rollback that names a version ends on it, also when another one ran before
// the release under way.
func TestRollbackDuringReleaseToAnotherVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.released("v2")
		w.detached("v3")
		res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("v1"))
		if err != nil || res.Outcome != rollout.Released || res.Version != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

// Whoever waited for the same release shares its end: a bad release is not
// tried again.
func TestJoinedReleaseRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		w.fleet.behave(func(f *fleet) { f.bad = map[artifact.Version]string{"v2": "boom"} })
		refreshes := w.refreshes()
		type end struct {
			res rollout.Result
			err error
		}
		ends := make(chan end, 2)
		for _, name := range []string{"ci-1", "ci-2"} {
			b := w.engine(rollout.Options{Holder: owner.Holder{Name: name}})
			go func() {
				res, err := b.Release(w.ctx, to("v2", digest))
				ends <- end{res, err}
			}()
		}
		for range 2 {
			if e := <-ends; e.err != nil || e.res.Outcome != rollout.RolledBack || e.res.Serving != "v1" {
				t.Errorf("%+v, %v", e.res, e.err)
			}
		}
		if n := w.refreshes() - refreshes; n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// A detached release is proven by the run that follows it, so that it can be
// gone back to.
func TestDetachedReleaseIsConcluded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.detached("v2")
		res, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: "v3", Manifest: w.publish("v3"), OnBusy: rollout.Wait})
		if err != nil || res.Outcome != rollout.Released {
			t.Fatalf("waiting for a detached release: %+v, %v", res, err)
		}
		if got, want := w.outcomes(), []rollout.Outcome{rollout.Released, rollout.Released, rollout.Released}; !slices.Equal(got, want) {
			t.Errorf("outcomes %v", got)
		}
		if res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("")); err != nil || res.Version != "v2" {
			t.Errorf("rolling back: %+v, %v", res, err)
		}
	})
}

// A run that died before its refresh is not watched for ever.
func TestWatchOfADeadRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		if !w.killedAfter(rollout.StepRecord, "v1", w.publish("v1")) {
			t.Fatal("the run never wrote its record")
		}
		var untouched *rollout.FailedUntouched
		if _, err := w.engine(rollout.Options{}).Watch(w.ctx); !errors.As(err, &untouched) {
			t.Errorf("got %v", err)
		}
	})
}

// cut cancels a context in the middle of a call, as an interrupt does.
type cut struct {
	rollout.Groups
	cancel context.CancelFunc
}

func (c cut) Group(ctx context.Context, name string) (rollout.Group, error) {
	c.cancel()
	return rollout.Group{}, fmt.Errorf("calling DescribeAutoScalingGroups for %q: %w", name, context.Canceled)
}

// An interrupt says the same whether it meets a pause or a call.
func TestWatchInterruptedInACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.detached("v2")
		ctx, cancel := context.WithCancel(w.ctx)
		cloud := w.clients.Cloud()
		cloud.Groups = cut{cloud.Groups, cancel}
		var interrupted *rollout.Interrupted
		if _, err := w.engine(rollout.Options{Cloud: cloud}).Watch(ctx); !errors.As(err, &interrupted) || !interrupted.Touched {
			t.Errorf("got %v", err)
		}
	})
}
