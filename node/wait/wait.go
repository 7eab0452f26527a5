// Package wait is how a node waits for what may come late: the metadata
// service, a disk, another boot, a hook that does not listen yet. It knows
// time and contexts alone; what is asked, and when an answer is good, it
// refuses to know.
package wait

import (
	"context"
	"iter"
	"time"
)

// Pause waits for d, or returns the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Every counts attempts from 1, with a pause between two, until ctx ends. There
// is always a first.
func Every(ctx context.Context, pause time.Duration) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := 1; yield(n); n++ {
			if Pause(ctx, pause) != nil {
				return
			}
		}
	}
}
