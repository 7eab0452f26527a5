package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hook is a lifecycle hook that begins to wait after some calls.
type hook struct {
	mu          sync.Mutex
	deaf        int   // calls answered with ErrNoAction before it waits
	err         error // answered to every call
	panics      string
	calls       int
	completions []Completion
	beats       []Action
	onComplete  func(Completion)
}

func (h *hook) Complete(_ context.Context, c Completion) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if h.panics == c.Result {
		h.panics = ""
		panic("out of memory")
	}
	if h.err != nil {
		return h.err
	}
	if h.calls <= h.deaf || len(h.completions) > 0 {
		return ErrNoAction
	}
	h.completions = append(h.completions, c)
	if h.onComplete != nil {
		h.onComplete(c)
	}
	return nil
}

func (h *hook) Heartbeat(_ context.Context, a Action) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beats = append(h.beats, a)
	return errors.New("throttled")
}

func (h *hook) told() []Completion {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Completion(nil), h.completions...)
}

func TestComplete(t *testing.T) {
	c := Completion{Action{"shop", "wpbake-boot", "i-1"}, Continue}
	throttled := errors.New("Throttling: Rate exceeded")
	for name, tt := range map[string]struct {
		hook    *hook
		timeout time.Duration
		told    bool
		err     error
		after   time.Duration // virtual time it may take
	}{
		"at once":             {hook: &hook{}, timeout: actionTimeout, told: true},
		"waits later":         {hook: &hook{deaf: 30}, timeout: actionTimeout, told: true, after: 30 * completePause},
		"never waits":         {hook: &hook{deaf: 1e6}, timeout: actionTimeout, after: actionTimeout},
		"told by an old boot": {hook: &hook{deaf: 1e6}},
		"fails":               {hook: &hook{err: throttled}, timeout: actionTimeout, err: throttled, after: actionTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				told, err := complete(t.Context(), tt.hook, c, tt.timeout)
				if told != tt.told || !errors.Is(err, tt.err) {
					t.Errorf("told %v, %v", told, err)
				}
				if took := time.Since(begun); took > tt.after {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// slow answers nothing until the call's own time is over.
type slow struct{}

func (slow) Complete(ctx context.Context, _ Completion) error { <-ctx.Done(); return ctx.Err() }
func (slow) Heartbeat(ctx context.Context, _ Action) error    { <-ctx.Done(); return ctx.Err() }

func TestCompleteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := complete(t.Context(), slow{}, Completion{Result: Abandon}, actionTimeout)
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > actionTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// cutOff has no action, and its last call is cut off by the end of timeout.
type cutOff struct{ slow }

func (c cutOff) Complete(ctx context.Context, _ Completion) error {
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < completeAttempt {
		return c.slow.Complete(ctx, Completion{})
	}
	return ErrNoAction
}

func TestCompleteCutOffHasNoAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if told, err := complete(t.Context(), cutOff{}, Completion{Result: Continue}, actionTimeout); told || err != nil {
			t.Errorf("told %v, %v", told, err)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hook{}
		stop := sendHeartbeats(t.Context(), h, Action{"shop", "wpbake-boot", "i-1"})
		time.Sleep(3*heartbeatPause + heartbeatPause/2)
		stop()
		time.Sleep(10 * heartbeatPause)
		if len(h.beats) != 3 || h.beats[0].Instance != "i-1" {
			t.Errorf("beats %v", h.beats)
		}
	})
}
