package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

// Exit codes. Scripts rely on them: they do not change.
const (
	exitDone       = 0
	exitUntouched  = 1
	exitUsage      = 2
	exitRolledBack = 3
	exitPerson     = 4
)

const exitCodesHelp = `Exit codes of every command:

  0  done; for release and rollback: done and proven on every node
  1  failed; the group is as it was
  2  wrong usage or configuration; nothing was called
  3  the release was bad: rolled back, and proven on every node
  4  needs a person: the group is mixed or cannot be proven, somebody else
     changed it, the watching ended while a refresh goes on, or the database
     cannot go back with the code`

func exitCode(err error) int {
	var (
		usage       *usageError
		ended       *endedError
		person      *rollout.PersonNeeded
		lost        *rollout.LeaseLost
		adrift      *rollout.Adrift
		interrupted *rollout.Interrupted
		database    *rollout.Incompatible
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &ended):
		return ended.exit()
	case errors.As(err, &person), errors.As(err, &database), errors.As(err, &lost), errors.As(err, &adrift):
		return exitPerson
	case errors.As(err, &interrupted) && interrupted.Touched:
		return exitPerson
	default:
		return exitUntouched
	}
}

// endedError is a run that ended, but not with its version proven.
type endedError struct{ result rollout.Result }

func (e *endedError) exit() int {
	switch e.result.Outcome {
	case rollout.RolledBack:
		return exitRolledBack
	case rollout.Abandoned:
		return exitUntouched
	default:
		return exitPerson
	}
}

func (e *endedError) Error() string {
	r := e.result
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
func (e *endedError) Hint() string {
	if e.result.Evidence != "" {
		return "evidence is in " + e.result.Evidence + " of the store; wpbake history shows the run"
	}
	return "wpbake status shows each node, wpbake history each run"
}

// usageError is a wrong command line, environment or configuration.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint is a line that would work, or where to read one.
func (e *usageError) Hint() string { return e.hint }

// hintedError is a failure with a word on what to do next.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// Hint is what to run next.
func (e *hintedError) Hint() string { return e.hint }

func usage(cmd *cobra.Command, err error) error {
	return &usageError{err: err, hint: cmd.CommandPath() + " --help"}
}
