package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/node/wait"
)

const (
	// heartbeatPause is well inside the shortest timeout a hook can have, 30 seconds.
	heartbeatPause = 10 * time.Second

	// actionTimeout is how long a hook may take to begin waiting: user data
	// can run before the instance enters the wait state.
	actionTimeout = 3 * time.Minute

	// completeAttempt bounds one call.
	completeAttempt = 20 * time.Second

	completePause = 2 * time.Second
)

// launchHook is the hook that keeps the node out of service until it is told.
type launchHook struct {
	lifecycle Lifecycle
	journal   *journal // knows the instance, once that is known
	group     string
	name      string // empty when nobody is to be told
}

func (h launchHook) action() Action {
	return Action{Group: h.group, Hook: h.name, Instance: h.journal.report.Instance}
}

// heartbeat keeps the hook waiting while the boot runs, where there is one.
func (h launchHook) heartbeat(ctx context.Context) (stop func()) {
	if h.name == "" {
		return func() {}
	}
	return sendHeartbeats(ctx, h.lifecycle, h.action())
}

// complete gives the hook the boot's result, within a timeout for the hook to
// begin waiting.
func (h launchHook) complete(ctx context.Context, result string, timeout time.Duration) error {
	if h.name == "" {
		return nil
	}
	told, err := complete(ctx, h.lifecycle, Completion{h.action(), result}, timeout)
	if err == nil && !told {
		h.journal.say("hook %q was not waiting", h.name)
	}
	return err
}

// complete tells the hook, again and again until it listens. A hook that waits
// for nothing after the timeout was told before: by an attempt whose answer was
// lost, or by an earlier boot of this instance; told says which it was.
func complete(ctx context.Context, l Lifecycle, c Completion, timeout time.Duration) (told bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	var answer error // the last one; a call cut off by the end of ctx has none
	begun := time.Now()
	for range wait.Every(ctx, completePause) {
		err := completeOnce(ctx, l, c)
		if err == nil {
			return true, nil
		}
		if answer == nil || ctx.Err() == nil {
			answer = err
		}
		if errors.Is(answer, ErrNoAction) && time.Since(begun) >= timeout {
			break
		}
	}
	if errors.Is(answer, ErrNoAction) {
		return false, nil
	}
	return false, fmt.Errorf("telling hook %q %s: %w", c.Hook, c.Result, answer)
}

func completeOnce(ctx context.Context, l Lifecycle, c Completion) error {
	ctx, cancel := context.WithTimeout(ctx, completeAttempt)
	defer cancel()
	return l.Complete(ctx, c)
}

// sendHeartbeats goes on until stop is called. A failure is no verdict: without
// heartbeats the hook times out, which abandons the node anyway.
func sendHeartbeats(ctx context.Context, l Lifecycle, a Action) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // a panic here must not take the boot's own ABANDON with it
		for wait.Pause(ctx, heartbeatPause) == nil {
			_ = l.Heartbeat(ctx, a)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
