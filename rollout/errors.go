package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Refused says that a release was not begun: nothing was changed anywhere.
type Refused struct {
	Group    string
	Findings []Finding // those that block, at least one
}

func (e *Refused) Error() string {
	texts := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		texts[i] = f.Text
	}
	return fmt.Sprintf("group %q cannot be released to: %s", e.Group, strings.Join(texts, "; "))
}

// Hint is the first blocking finding's fix.
func (e *Refused) Hint() string { return e.Findings[0].Fix }

// Busy says that another run holds the group's lock.
type Busy struct {
	Group string
	Lock  Lock
}

func (e *Busy) Error() string {
	return fmt.Sprintf("group %q is locked by %s: %s of %s, run %s, heartbeat %s",
		e.Group, e.Lock.Holder.Name, e.Lock.Kind, e.Lock.Version, e.Lock.Run, e.Lock.Heartbeat.UTC().Format(time.RFC3339))
}

// Hint says how to look at the other run or get past it.
func (e *Busy) Hint() string {
	return "wpbake watch, or release again with --on-busy wait or --on-busy supersede"
}

// Unfinished says that an earlier run of another version died and its refresh
// is still active.
type Unfinished struct {
	Group string
	Lock  Lock
}

func (e *Unfinished) Error() string {
	return fmt.Sprintf("group %q has an unfinished %s of %s (run %s)", e.Group, e.Lock.Kind, e.Lock.Version, e.Lock.Run)
}

// Hint says how to finish the earlier run.
func (e *Unfinished) Hint() string {
	return "wpbake resume to finish it, wpbake rollback to undo it, or --on-busy supersede"
}

// LeaseLost says that somebody took the lock over; this run stopped at once.
type LeaseLost struct {
	Run string
	By  Lock
}

func (e *LeaseLost) Error() string {
	return fmt.Sprintf("run %s lost the lock to %s (%s of %s, run %s)", e.Run, e.By.Holder.Name, e.By.Kind, e.By.Version, e.By.Run)
}

// Hint says how to follow the other run.
func (e *LeaseLost) Hint() string { return "wpbake watch follows the run that has the lock now" }

// InterventionRequired says that the group is not as any run left it on purpose:
// mixed, changed by somebody else, or not provable.
type InterventionRequired struct {
	Run  string
	Text string
	Fix  string
}

func (e *InterventionRequired) Error() string { return e.Text }

// Hint is what a person can run next.
func (e *InterventionRequired) Hint() string { return e.Fix }

// FailedUntouched says that a run ended without any node moved.
type FailedUntouched struct {
	Run   string
	Cause string
	Fix   string
}

func (e *FailedUntouched) Error() string {
	return fmt.Sprintf("releasing failed, the group is as it was: %s", e.Cause)
}

// Hint is what to run next.
func (e *FailedUntouched) Hint() string { return e.Fix }

// Interrupted says that the watching ended before the refresh did.
type Interrupted struct {
	Run     string
	Touched bool // a refresh is under way
}

func (e *Interrupted) Error() string {
	if e.Touched {
		return fmt.Sprintf("stopped watching run %s; the instance refresh goes on under its own auto rollback", e.Run)
	}
	return "interrupted before the group was touched"
}

// Hint says how to go on.
func (e *Interrupted) Hint() string {
	if e.Touched {
		return "wpbake watch to look, wpbake resume to finish it, wpbake rollback to undo it"
	}
	return "the same command again goes on where this one stopped"
}

// NotProven says that a version cannot be gone back to.
type NotProven struct {
	Group   string
	Version artifact.Version // empty: no proven release at all
	Proven  []artifact.Version
}

func (e *NotProven) Error() string {
	if e.Version == "" {
		return fmt.Sprintf("group %q has no earlier proven release to go back to", e.Group)
	}
	return fmt.Sprintf("version %q was never proven on group %q", e.Version, e.Group)
}

// Hint lists what can be gone back to.
func (e *NotProven) Hint() string {
	if len(e.Proven) == 0 {
		return "wpbake release VERSION releases forward"
	}
	names := make([]string, len(e.Proven))
	for i, v := range e.Proven {
		names[i] = string(v)
	}
	return "proven: " + strings.Join(names, ", ")
}

// Unattended says that this program could not go on while a refresh was under
// way: AWS or the store answered with an error.
type Unattended struct {
	Run    string
	Err    error
	Unsure bool // nobody knows whether the refresh has started
}

func (e *Unattended) Error() string {
	if e.Unsure {
		return fmt.Sprintf("starting the instance refresh of run %s: %v; whether it has started is not known", e.Run, e.Err)
	}
	return fmt.Sprintf("watching run %s: %v; the instance refresh goes on under its own auto rollback", e.Run, e.Err)
}

func (e *Unattended) Unwrap() error { return e.Err }

// Hint says how to take the run up again.
func (e *Unattended) Hint() string {
	if e.Unsure {
		return "wpbake status shows whether a refresh goes on; wpbake resume takes the run up either way"
	}
	if errors.Is(e.Err, ErrCredentials) {
		return "renew the AWS credentials; then wpbake resume takes it up again, wpbake rollback undoes it"
	}
	return "wpbake resume takes it up again, wpbake rollback undoes it"
}

// NothingOpen says that no run of the group waits to be finished.
type NothingOpen struct{ Group string }

func (e *NothingOpen) Error() string { return fmt.Sprintf("group %q has no unfinished run", e.Group) }

// Hint says where to look instead.
func (e *NothingOpen) Hint() string { return "wpbake status shows what runs, wpbake history what ran" }
