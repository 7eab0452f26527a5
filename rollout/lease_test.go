package rollout

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/internal/owner"
)

// stalling is a store whose writes are not answered until a time; they may
// have been done all the same.
type stalling struct {
	artifact.Store
	until  time.Time // it stalls
	writes bool
}

func (s *stalling) Put(ctx context.Context, name string, b artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	if !time.Now().Before(s.until) {
		return s.Store.Put(ctx, name, b, c)
	}
	if s.writes {
		if _, err := s.Store.Put(ctx, name, b, c); err != nil {
			return artifact.Stat{}, err
		}
	}
	<-ctx.Done()
	return artifact.Stat{}, ctx.Err()
}

const leaseTerm = 2 * time.Minute

func newLease(t *testing.T) (*stalling, *lease) {
	t.Helper()
	dir, err := dirstore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &stalling{Store: dir}
	l, err := documents{store: store, group: "shop"}.acquire(t.Context(), leaseRequest{
		intent: Intent{Kind: Release, Version: "v1"}, run: "R1", holder: owner.Holder{Name: "me"}, term: leaseTerm,
	})
	if err != nil {
		t.Fatal(err)
	}
	return store, l
}

// A write of the lock that stalls ends well before the lease does, and the lease
// can be renewed then, whether the write was done or not.
func TestStalledRenewalEndsBeforeTheLease(t *testing.T) {
	t.Parallel()
	for name, writes := range map[string]bool{"not done": false, "done": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, l := newLease(t)
				time.Sleep(leaseTerm / 2)
				store.until, store.writes = time.Now().Add(leaseTerm/6), writes
				if err := l.renew(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("a stalled renewal: %v", err)
				}
				if left := time.Until(l.lock.Expires); left < leaseTerm/4 {
					t.Fatalf("%v of the lease are left", left)
				}
				if err := l.renew(t.Context()); err != nil {
					t.Fatalf("the renewal after it: %v", err)
				}
				if left := time.Until(l.lock.Expires); left != leaseTerm {
					t.Errorf("%v of the lease are left", left)
				}
			})
		})
	}
}

// Work ends before a lease that cannot be renewed; one stalled renewal does not
// end it.
func TestWorkEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stall time.Duration
		ends  bool
	}{"a short stall": {leaseTerm / 2, false}, "a long stall": {time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, l := newLease(t)
				store.until = time.Now().Add(c.stall)
				var ended time.Time
				err := l.during(t.Context(), func(ctx context.Context) error {
					err := pause(ctx, 2*leaseTerm)
					ended = time.Now()
					return err
				})
				if (err != nil) != c.ends {
					t.Fatal(err)
				}
				if c.ends && !ended.Before(l.lock.Expires) {
					t.Errorf("the work ended at %v, the lease at %v", ended, l.lock.Expires)
				}
			})
		})
	}
}

// Whoever took the lock over has it.
func TestRenewalFindsTheLockTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, l := newLease(t)
		if _, err := l.docs.acquire(t.Context(), leaseRequest{seen: l.lock, etag: l.etag, run: "R1", holder: l.lock.Holder, takeover: "a test", term: leaseTerm}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(leaseTerm / 2)
		var lost *LeaseLost
		if err := l.renew(t.Context()); !errors.As(err, &lost) {
			t.Errorf("%v, want the lease lost", err)
		}
	})
}
