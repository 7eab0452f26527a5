package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/wpbake/wpbake/rollout"
)

func TestExitCodes(t *testing.T) {
	ended := func(o rollout.Outcome) error { return &Ended{rollout.Result{Outcome: o}} }
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"any failure", errors.New("disk full"), 1},
		{"refused", &rollout.Refused{Findings: []rollout.Finding{{}}}, 1},
		{"busy", &rollout.Busy{}, 1},
		{"unfinished", &rollout.Unfinished{}, 1},
		{"untouched", &rollout.FailedUntouched{}, 1},
		{"abandoned", ended(rollout.Abandoned), 1},
		{"interrupted early", &rollout.Interrupted{}, 1},
		{"usage", Misuse(errors.New("x"), ""), 2},
		{"rolled back", ended(rollout.RolledBack), 3},
		{"unproven", ended(rollout.Unproven), 4},
		{"unknown outcome", ended("else"), 4},
		{"interrupted late", &rollout.Interrupted{Touched: true}, 4},
		{"lease lost", &rollout.LeaseLost{}, 4},
		{"unattended", &rollout.Unattended{Err: errors.New("expired")}, 4},
		{"intervention", fmt.Errorf("wrapped: %w", &rollout.InterventionRequired{}), 4},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestInterruption(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	failed := errors.New("disk full")
	unattended := &rollout.Unattended{Err: context.Canceled}
	for name, tt := range map[string]struct {
		ctx       context.Context
		err, want error
	}{
		"met by a call":       {ended, fmt.Errorf("listing: %w", context.Canceled), errInterrupted},
		"after another cause": {ended, failed, failed},
		"under way":           {ended, unattended, unattended},
		"done all the same":   {ended, nil, nil},
		"not a signal":        {t.Context(), context.Canceled, context.Canceled},
	} {
		if got := Interruption(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// How a run ended is said with its cause, and where to look next.
func TestEnded(t *testing.T) {
	r := rollout.Result{Kind: rollout.Release, Version: "v2"}
	for outcome, want := range map[rollout.Outcome]string{
		rollout.RolledBack: "release of v2 is rolled back", rollout.Abandoned: "release of v2 ended before it touched the group",
		rollout.Unproven: "release of v2 is not proven",
	} {
		r.Outcome = outcome
		if got := (&Ended{r}).Error(); got != want {
			t.Errorf("%s: %q, want %q", outcome, got, want)
		}
	}
	r.Outcome, r.Cause, r.Evidence = rollout.Unproven, "alarm errors rings", "rollouts/shop/r1/evidence"
	e := &Ended{r}
	if got, want := e.Error(), "release of v2 is not proven: alarm errors rings"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := HintOf(fmt.Errorf("releasing: %w", e)); got != "evidence is in rollouts/shop/r1/evidence of the store; wpbake history shows the run" {
		t.Errorf("hint %q", got)
	}
	if got := HintOf(&Ended{}); got != "wpbake status shows each node, wpbake history each run" {
		t.Errorf("hint %q", got)
	}
}
