package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// beat is well inside the shortest timeout a hook can have, 30 seconds.
	beat = 10 * time.Second

	// actionPatience is how long a hook may take to begin waiting: user data
	// can run before the instance enters the wait state.
	actionPatience = 3 * time.Minute

	// completeAttempt bounds one call.
	completeAttempt = 20 * time.Second

	completeRetry = 2 * time.Second
)

// complete tells the hook, again and again until it listens. A hook that waits
// for nothing after patience was told before: by an attempt whose answer was
// lost, or by an earlier boot of this instance; told says which it was.
func complete(ctx context.Context, l Lifecycle, c Completion, patience time.Duration) (told bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, actionPatience)
	defer cancel()
	var answer error // the last one; a call cut off by the end of ctx has none
	for begun := time.Now(); ; {
		err := completeOnce(ctx, l, c)
		if err == nil {
			return true, nil
		}
		if answer == nil || ctx.Err() == nil {
			answer = err
		}
		if errors.Is(answer, ErrNoAction) && time.Since(begun) >= patience {
			return false, nil
		}
		if pause(ctx, completeRetry) != nil {
			if errors.Is(answer, ErrNoAction) {
				return false, nil
			}
			return false, fmt.Errorf("telling hook %q %s: %w", c.Hook, c.Result, answer)
		}
	}
}

func completeOnce(ctx context.Context, l Lifecycle, c Completion) error {
	ctx, cancel := context.WithTimeout(ctx, completeAttempt)
	defer cancel()
	return l.Complete(ctx, c)
}

// keepAlive sends heartbeats until stop is called. Their failures are no
// verdict: without them the hook times out, which abandons the node anyway.
func keepAlive(ctx context.Context, l Lifecycle, a Action) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // a panic here must not take the boot's own ABANDON with it
		for pause(ctx, beat) == nil {
			_ = l.Heartbeat(ctx, a)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// pause waits for d, or returns the context's error.
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
