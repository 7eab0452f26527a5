package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/wpbake/wpbake/rollout"
)

func TestHintIsFoundInsideOtherErrors(t *testing.T) {
	hinted := &hintedError{err: errors.New("x"), hint: "do this"}
	silent := &hintedError{err: fmt.Errorf("%w: %w", errors.New("kind"), hinted)}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":               {errors.New("x"), ""},
		"wrapped":            {fmt.Errorf("doing: %w", hinted), "do this"},
		"one of two":         {errors.Join(errors.New("y"), hinted), "do this"},
		"below a silent one": {silent, "do this"},
		"outermost":          {&hintedError{err: hinted, hint: "do that"}, "do that"},
		"full disk":          {fmt.Errorf("writing: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), "free some space; TMPDIR names another disk for scratch files"},
		"by meaning":         {fmt.Errorf("asking: %w", rollout.ErrNoGroup), "--group NAME; aws autoscaling describe-auto-scaling-groups lists them"},
	} {
		if got := HintOf(tt.err); got != tt.want {
			t.Errorf("%s: hint %q, want %q", name, got, tt.want)
		}
	}
}
