package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// The lock keeps two runs of wpbake from working on one group. It is advice:
// what keeps the group safe is AWS's rule of one active refresh and the
// conditional writes of the record. A run that finds its lock taken over
// stops at once.

// lease is a lock that this process holds.
type lease struct {
	docs documents
	term time.Duration
	lock Lock
	etag string
	old  Lock // what the lock was before
}

// leaseRequest asks for the lock that was seen.
type leaseRequest struct {
	seen     Lock
	etag     string // of seen
	intent   Intent
	run      string
	takeover string // why it is taken from whoever holds it
	holder   owner.Holder
	term     time.Duration
}

// acquire takes the lock if it still is what was seen; else the error is
// artifact.ErrChanged or ErrExists.
func (d documents) acquire(ctx context.Context, r leaseRequest) (*lease, error) {
	now := time.Now().UTC()
	l := Lock{
		Format: 1, Fence: r.seen.Fence + 1, Run: r.run,
		Kind: r.intent.Kind, Version: r.intent.Version, Manifest: r.intent.Manifest,
		Holder: r.holder, Heartbeat: now, Expires: now.Add(r.term),
	}
	if r.takeover != "" && !r.seen.Expires.IsZero() {
		l.Note = fmt.Sprintf("taken over from %s (run %s): %s", r.seen.Holder.Name, r.seen.Run, r.takeover)
	}
	c := artifact.Condition{ETag: r.etag}
	if r.etag == "" {
		c = artifact.Condition{Absent: true}
	}
	etag, err := d.write(ctx, d.lockName(), l, c)
	if err != nil {
		return nil, err
	}
	return &lease{docs: d, term: r.term, lock: l, etag: etag, old: r.seen}, nil
}

func isConflict(err error) bool {
	return errors.Is(err, artifact.ErrChanged) || errors.Is(err, artifact.ErrExists)
}

// renew keeps the lease alive; it writes only once a third of it has passed.
// When somebody else has the lock the answer is *LeaseLost.
func (l *lease) renew(ctx context.Context) error {
	if time.Until(l.lock.Expires) > l.term*2/3 {
		return nil
	}
	return l.write(ctx, func(k *Lock, now time.Time) { k.Heartbeat, k.Expires = now, now.Add(l.term) })
}

// free gives the lock back; the run it names stays written.
func (l *lease) free(ctx context.Context) error {
	return l.write(ctx, func(k *Lock, now time.Time) { k.Heartbeat, k.Expires = now, time.Time{} })
}

// restore gives the lock back for a run that never began: it names the run
// before again.
func (l *lease) restore(ctx context.Context) error {
	return l.write(ctx, func(k *Lock, now time.Time) {
		fence := k.Fence // the fencing token only grows
		*k = l.old
		k.Format, k.Fence, k.Heartbeat, k.Expires = 1, fence, now, time.Time{}
	})
}

// held is false once the lock was given back.
func (l *lease) held() bool { return !l.lock.Expires.IsZero() }

// write changes the lock. A store that stalls gets a part of the lease alone: it
// must not be waited for until the lease has ended and another run has it.
func (l *lease) write(ctx context.Context, change func(*Lock, time.Time)) error {
	ctx, cancel := context.WithTimeout(ctx, l.term/6)
	defer cancel()
	next := l.lock
	change(&next, time.Now().UTC())
	etag, err := l.docs.write(ctx, l.docs.lockName(), next, artifact.Condition{ETag: l.etag})
	if errors.Is(err, artifact.ErrChanged) {
		other, now, rerr := l.docs.lock(ctx)
		if rerr != nil {
			return rerr
		}
		if !l.wrote(other) {
			return &LeaseLost{Run: l.lock.Run, By: other}
		}
		etag, err = l.docs.write(ctx, l.docs.lockName(), next, artifact.Condition{ETag: now})
	}
	if err != nil {
		return err
	}
	l.lock, l.etag = next, etag
	return nil
}

// wrote reports whether a lock is an earlier write of this lease, whose answer
// did not come: whoever takes a lock over counts its fencing token up.
func (l *lease) wrote(k Lock) bool {
	return k.Fence == l.lock.Fence && k.Run == l.lock.Run && k.Holder == l.lock.Holder
}

// fence makes sure of the lock right before an effect that cannot be guarded
// by a condition.
func (l *lease) fence(ctx context.Context) error {
	now, _, err := l.docs.lock(ctx)
	if err != nil {
		return err
	}
	return l.fenceAgainst(now)
}

// fenceAgainst compares the fencing token with that of the lock as it is now.
func (l *lease) fenceAgainst(now Lock) error {
	if now.Fence != l.lock.Fence {
		return &LeaseLost{Run: l.lock.Run, By: now}
	}
	return nil
}

// during keeps the lease alive while work takes its time. A store that does not
// answer is asked again while the lease lasts; the work ends before it does.
func (l *lease) during(ctx context.Context, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	tick := time.NewTicker(l.term / 6)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			err := l.renew(ctx)
			if err != nil && (!isTransient(err) || time.Until(l.lock.Expires) < l.term/3) {
				cancel()
				<-done
				return err
			}
		}
	}
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// withoutCancel is a context for an effect and its record, which an interrupt
// must not part: nobody could say then whether the group was touched.
func withoutCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
}
