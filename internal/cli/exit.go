package cli

import (
	"context"
	"errors"

	"github.com/wpbake/wpbake/rollout"
)

// Exit codes. Scripts rely on them: they do not change.
const (
	ExitDone       = 0
	ExitUntouched  = 1
	ExitUsage      = 2
	ExitRolledBack = 3
	ExitPerson     = 4
)

// ExitCodesHelp says what each means.
const ExitCodesHelp = `Exit codes of every command:

  0  done; for release and rollback: done and proven on every node
  1  failed; the group is as it was
  2  wrong usage or configuration; nothing was called
  3  the release was bad: rolled back, and proven on every node
  4  needs a person: the group is mixed or cannot be proven, somebody else
     changed it, the watching ended while a refresh goes on, or the database
     cannot go back with the code`

// ExitCode is what the program ends with after err.
func ExitCode(err error) int {
	var (
		usage        interface{ Misuse() bool } // of this package or any other
		ended        *Ended
		intervention *rollout.InterventionRequired
		lost         *rollout.LeaseLost
		unattended   *rollout.Unattended
		interrupted  *rollout.Interrupted
		database     *rollout.Incompatible
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &ended):
		return ended.exit()
	case errors.As(err, &intervention), errors.As(err, &database), errors.As(err, &lost), errors.As(err, &unattended):
		return ExitPerson
	case errors.As(err, &interrupted) && interrupted.Touched:
		return ExitPerson
	default:
		return ExitUntouched
	}
}

// Ended is a run that ended, but not with its version proven.
type Ended struct{ Result rollout.Result }

func (e *Ended) exit() int {
	switch e.Result.Outcome {
	case rollout.RolledBack:
		return ExitRolledBack
	case rollout.Abandoned:
		return ExitUntouched
	default:
		return ExitPerson
	}
}

func (e *Ended) Error() string {
	r := e.Result
	what := string(r.Kind) + " of " + string(r.Version)
	switch r.Outcome {
	case rollout.RolledBack:
		what += " is rolled back"
	case rollout.Abandoned:
		what += " ended before it touched the group"
	default:
		what += " is not proven"
	}
	if r.Cause != "" {
		what += ": " + r.Cause
	}
	return what
}

// Hint says where to look next.
func (e *Ended) Hint() string {
	if e.Result.Evidence != "" {
		return "evidence is in " + e.Result.Evidence + " of the store; wpbake history shows the run"
	}
	return "wpbake status shows each node, wpbake history each run"
}

// errInterrupted is a signal that came before anything was changed.
var errInterrupted = errors.New("interrupted")

// Interruption replaces the words of whatever call a signal happened to meet.
// Where a release was under way its own error says what goes on.
func Interruption(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && ExitCode(err) == ExitUntouched {
		return errInterrupted
	}
	return err
}
