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
}

// intent is what a run wants the lock for.
type intent struct {
	kind     Kind
	version  artifact.Version
	manifest artifact.Digest
	takeover string // not empty: take the lock whoever holds it, and note this
}

func (c intent) same(l Lock) bool {
	return l.Kind == c.kind && l.Version == c.version && l.Manifest == c.manifest
}

// await returns the group's lock and its revision once nobody alive holds it,
// and with it the run of the same aim that was waited for, if any. It waits for
// others only when told to.
func (b *Engine) await(ctx context.Context, c intent) (l Lock, etag, joinedRun string, err error) {
	told := false
	for {
		l, etag, err = b.docs().lock(ctx)
		if err != nil || c.takeover != "" {
			return l, etag, "", err
		}
		busy, err := b.busy(ctx, l, c)
		if err != nil || !busy {
			return l, etag, joinedRun, err
		}
		if c.same(l) {
			joinedRun = l.Run
		} else if b.o.OnBusy != Wait {
			return l, "", "", &Busy{Group: b.o.Group, Lock: l}
		}
		if !told {
			b.emit(Event{Kind: "wait", Run: l.Run, Text: fmt.Sprintf("waiting for %s (%s of %s, run %s)", l.Holder.Name, l.Kind, l.Version, l.Run)})
			told = true
		}
		if err := pause(ctx, b.o.Poll); err != nil {
			return l, "", "", &Interrupted{}
		}
	}
}

// busy reports whether a intent has to wait: a live process holds the lock or,
// for one that was told to wait, the refresh of a run that nobody attends
// still goes on.
func (b *Engine) busy(ctx context.Context, l Lock, c intent) (bool, error) {
	if b.held(l) || c.same(l) || b.o.OnBusy != Wait {
		return b.held(l), nil
	}
	_, err := b.runFor(ctx, l, c)
	var open *Unfinished
	if errors.As(err, &open) {
		return true, nil
	}
	return false, err
}

// held reports whether another live process has the lock. Without a process id
// a holder of the same name may still be another process.
func (b *Engine) held(l Lock) bool {
	if l.Expires.IsZero() || time.Now().After(l.Expires) {
		return false
	}
	if l.Holder.PID != 0 && l.Holder == b.o.Holder {
		return false
	}
	return b.o.Alive(l.Holder)
}

// runFor continues the run that stands in the lock when it has the same aim
// and no outcome yet. An unfinished run with another aim is in the way only
// while its refresh is active.
func (b *Engine) runFor(ctx context.Context, l Lock, c intent) (string, error) {
	fresh := NewRun(time.Now())
	if l.Run == "" {
		return fresh, nil
	}
	rec, _, err := b.docs().record(ctx, l.Run)
	if err != nil {
		return "", err
	}
	if rec.Outcome != "" {
		return fresh, nil
	}
	if c.same(l) {
		return l.Run, nil
	}
	if c.takeover != "" {
		return fresh, nil
	}
	active, err := b.activeRefresh(ctx)
	if err != nil {
		return "", err
	}
	if active != nil && rec.owns(*active) {
		return "", &Unfinished{Group: b.o.Group, Lock: l}
	}
	return fresh, nil
}

type takeRequest struct {
	old    Lock
	etag   string
	intent intent
	run    string
	holder owner.Holder
	term   time.Duration
}

func (d documents) take(ctx context.Context, r takeRequest) (*lease, error) {
	now := time.Now().UTC()
	l := Lock{
		Format: 1, Fence: r.old.Fence + 1, Run: r.run,
		Kind: r.intent.kind, Version: r.intent.version, Manifest: r.intent.manifest,
		Holder: r.holder, Heartbeat: now, Expires: now.Add(r.term),
	}
	if r.intent.takeover != "" && !r.old.Expires.IsZero() {
		l.Note = fmt.Sprintf("taken over from %s (run %s): %s", r.old.Holder.Name, r.old.Run, r.intent.takeover)
	}
	c := artifact.Condition{ETag: r.etag}
	if r.etag == "" {
		c = artifact.Condition{Absent: true}
	}
	etag, err := d.write(ctx, d.lockName(), l, c)
	if err != nil {
		return nil, err
	}
	return &lease{docs: d, term: r.term, lock: l, etag: etag}, nil
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

func (l *lease) write(ctx context.Context, change func(*Lock, time.Time)) error {
	next := l.lock
	change(&next, time.Now().UTC())
	etag, err := l.docs.write(ctx, l.docs.lockName(), next, artifact.Condition{ETag: l.etag})
	if errors.Is(err, artifact.ErrChanged) {
		other, _, rerr := l.docs.lock(ctx)
		if rerr != nil {
			return rerr
		}
		return &LeaseLost{Run: l.lock.Run, By: other}
	}
	if err != nil {
		return err
	}
	l.lock, l.etag = next, etag
	return nil
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
