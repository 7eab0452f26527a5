package volume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wpbake/wpbake/artifact"
)

// How long things may take. Attempts have a time of their own because a
// connection that stalls would hold the whole upload; a snapshot that was just
// started may be unknown to other servers for two minutes.
const (
	attemptTimeout = 30 * time.Second
	attempts       = 12
	firstPause     = 250 * time.Millisecond // grows by itself with each attempt
	absentTimeout  = 2 * time.Minute
	pollPause      = 2 * time.Second
	deleteTimeout  = 2 * time.Minute
)

// upload writes one snapshot.
type upload struct {
	*baker
	image   io.ReaderAt
	size    int64
	changed map[int32]bool // blocks that a parent does not have; nil without a parent
	begun   time.Time
}

// run writes the whole snapshot and waits until it is completed. After an
// error there is none.
func (u *upload) run(ctx context.Context, s Start) (id string, blocks int, err error) {
	plan, err := u.plan()
	if err != nil {
		return "", 0, err
	}
	// An interrupt must not part the call from its answer: nobody would know
	// what to remove.
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	id, err = u.Writer.Start(starting, s)
	cancel()
	if err != nil {
		return "", 0, err
	}
	u.begun = time.Now()
	if err = u.fill(ctx, id, plan); err != nil {
		return "", 0, u.abort(ctx, id, err)
	}
	return id, len(plan), nil
}

// abort removes the snapshot that was not finished.
func (u *upload) abort(ctx context.Context, id string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := u.retry(ctx, func(ctx context.Context) error { return u.Writer.Delete(ctx, id) }); err != nil {
		return &LeftBehind{Snapshot: id, Err: err, Cause: cause}
	}
	return cause
}

// LeftBehind says that an unfinished snapshot could not be removed.
type LeftBehind struct {
	Snapshot string
	Err      error // of removing it
	Cause    error // why it was not finished
}

func (e *LeftBehind) Error() string {
	return fmt.Sprintf("%v; removing unfinished snapshot %q: %v", e.Cause, e.Snapshot, e.Err)
}

// Unwrap returns why the snapshot was not finished.
func (e *LeftBehind) Unwrap() error { return e.Cause }

// Hint says how it goes away.
func (e *LeftBehind) Hint() string { return "wpbake sweep removes it once it can be" }

// planned is a block to write.
type planned struct {
	index int32
	sum   [sha256.Size]byte
}

// plan lists the blocks to write: all that are not zero, or with a parent all
// that it does not have.
func (u *upload) plan() ([]planned, error) {
	var plan []planned
	buf, zeros := make([]byte, BlockSize), make([]byte, BlockSize)
	for i := int32(0); int64(i)*BlockSize < u.size; i++ {
		if u.changed != nil && !u.changed[i] {
			continue
		}
		if err := u.read(i, buf); err != nil {
			return nil, err
		}
		if u.changed != nil || !bytes.Equal(buf, zeros) {
			plan = append(plan, planned{i, sha256.Sum256(buf)})
		}
	}
	return plan, nil
}

// read fills buf with a block of the image; what follows the image is zero.
func (u *upload) read(index int32, buf []byte) error {
	n, err := u.image.ReadAt(buf, int64(index)*BlockSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading image: %w", err)
	}
	clear(buf[n:])
	return nil
}

func (u *upload) fill(ctx context.Context, id string, plan []planned) error {
	if err := u.putAll(ctx, id, plan); err != nil {
		return err
	}
	sums := sha256.New()
	for _, p := range plan {
		sums.Write(p.sum[:])
	}
	done := Completion{Blocks: len(plan), Sum: [sha256.Size]byte(sums.Sum(nil))}
	if err := u.retry(ctx, func(ctx context.Context) error { return u.Writer.Complete(ctx, id, done) }); err != nil {
		return err
	}
	u.Note(fmt.Sprintf("waiting for EBS to complete snapshot %s", id))
	return u.await(ctx, "", id)
}

func (u *upload) putAll(ctx context.Context, id string, plan []planned) error {
	add := artifact.Count(u.Progress, "write release volume", int64(len(plan))*BlockSize)
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan planned)
	g.Go(func() error {
		defer close(work)
		for _, p := range plan {
			select {
			case work <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(u.Workers, len(plan)) {
		g.Go(func() error {
			buf := make([]byte, BlockSize)
			for p := range work {
				if err := u.read(p.index, buf); err != nil {
					return err
				}
				b := Block{Index: p.index, Data: buf, Sum: p.sum}
				if err := u.retry(ctx, func(ctx context.Context) error { return u.Writer.Put(ctx, id, b) }); err != nil {
					return err
				}
				add(BlockSize)
			}
			return nil
		})
	}
	return g.Wait()
}

// retry makes attempts, each with a time of its own, as long as the error is
// one that passes.
func (u *upload) retry(ctx context.Context, call func(context.Context) error) error {
	for n := 1; ; n++ {
		err := u.attempt(ctx, call)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, ErrAbsent):
			if time.Since(u.begun) >= absentTimeout {
				return err
			}
		case !errors.Is(err, ErrBusy) || n >= attempts:
			return err
		}
		if err := pause(ctx, min(time.Duration(n)*firstPause, attemptTimeout)); err != nil {
			return err
		}
	}
}

func (u *upload) attempt(ctx context.Context, call func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err := call(within)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer in %v: %w", ErrBusy, attemptTimeout, err)
	}
	return err
}

// await waits until a snapshot is completed. EBS promises no time for it.
func (b *baker) await(ctx context.Context, region, id string) error {
	for begun := time.Now(); ; {
		state, err := b.Snapshots.State(ctx, region, id)
		switch {
		case err != nil:
			return err
		case state == Completed:
			return nil
		case state == Absent && time.Since(begun) > absentTimeout, state == Errored:
			return fmt.Errorf("waiting for snapshot %q: it is %q", id, state)
		}
		if err := pause(ctx, pollPause); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
