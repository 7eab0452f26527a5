package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout/userdata"
)

// State is everything that the next step depends on, as it was just observed.
type State struct {
	Now        time.Time
	Group      Group
	Record     Record
	Templates  []TemplateRef                 // this run's versions, one per entry of Group.Templates; empty Version: not made yet
	Refresh    *Refresh                      // this run's, nil before it has started
	Foreign    *Refresh                      // an active one that is not
	Reports    map[string]node.Report        // by instance: every node of this run and every node of the group
	Pins       map[TemplateRef]userdata.Boot // what template versions in use pin; absent: nothing of wpbake's
	Targets    map[string][]Target           // by instance
	Unhealthy  map[string]int                // by instance: looks in a row that found a target unhealthy
	Activities []Activity                    // since the refresh started, newest first
	Limits     Limits
	Asks       bool // the database can be asked
}

// Limits are the times and counts that judging goes by.
type Limits struct {
	FirstNode time.Duration // for the first new node to prove itself
	Settle    time.Duration // for the proof to catch up with the refresh
}

// Verb names an action.
type Verb string

// The actions of a run.
const (
	Await         Verb = "await"         // nothing to do now; Text says what is awaited
	MakeTemplate  Verb = "make-template" // add a version to From
	StartRefresh  Verb = "start-refresh"
	StartRollback Verb = "start-rollback" // roll the active refresh back; Cause says why
	UpgradeSchema Verb = "upgrade-schema" // the fleet is proven: the database follows
	Finish        Verb = "finish"         // the run ends with Outcome
	GiveUp        Verb = "give-up"        // a person is needed; Text says why, Fix what to do; with an Outcome the run ends, else it can be resumed
)

// Action is the next step of a run.
type Action struct {
	Verb    Verb
	From    TemplateRef
	Outcome Outcome
	Cause   string
	Node    string
	Text    string
	Fix     string
}

// Next decides the next step of a run. It is total and has no effect, and
// asked again after its action took effect it moves on.
func Next(s State) Action {
	if s.Foreign != nil {
		return giveUpOnForeign(s)
	}
	if s.Refresh != nil {
		return nextInRefresh(s)
	}
	if s.Record.Undo != "" {
		return Action{Verb: Finish, Outcome: Abandoned, Cause: s.Record.Undo}
	}
	if s.Record.Refresh != "" {
		return Action{Verb: GiveUp, Outcome: Unproven, Text: fmt.Sprintf("instance refresh %s is not in the group's history any more", s.Record.Refresh),
			Fix: "wpbake status shows what runs; wpbake release again if it is not this version"}
	}
	if !sameTemplates(s.Group.Templates, s.Record.Base) && !sameTemplates(s.Group.Templates, s.Templates) {
		return Action{Verb: Finish, Outcome: Abandoned, Cause: fmt.Sprintf("somebody changed the group's launch template to %s while this run was preparing", describeTemplates(s.Group.Templates)),
			Fix: "wpbake status; then the same command again, which starts from what the group has now"}
	}
	for _, t := range s.Templates {
		if t.Version == "" {
			return Action{Verb: MakeTemplate, From: t}
		}
	}
	return Action{Verb: StartRefresh}
}

func giveUpOnForeign(s State) Action {
	text := fmt.Sprintf("instance refresh %s is %s and was not started by this run", s.Foreign.ID, s.Foreign.Status)
	if s.Refresh == nil {
		return Action{Verb: Finish, Outcome: Abandoned, Cause: text, Fix: "wait for it, then the same command again"}
	}
	return Action{Verb: GiveUp, Text: text, Fix: "wait for it (wpbake status shows it), then wpbake resume"}
}

// AWS's words for the status of a refresh. A word that is not here counts as
// active: Baking, too, was added long after the others.
const (
	statusSuccessful         = "Successful"
	statusFailed             = "Failed"
	statusCancelling         = "Cancelling"
	statusCancelled          = "Cancelled"
	statusRollbackInProgress = "RollbackInProgress"
	statusRollbackFailed     = "RollbackFailed"
	statusRollbackSuccessful = "RollbackSuccessful"
)

// Active reports whether the refresh still holds the group.
func (r Refresh) Active() bool {
	switch r.Status {
	case statusSuccessful, statusFailed, statusCancelled, statusRollbackFailed, statusRollbackSuccessful:
		return false
	}
	return true
}

func nextInRefresh(s State) Action {
	switch s.Refresh.Status {
	case statusSuccessful:
		return finishWhenProven(s, s.Templates, Released)
	case statusRollbackSuccessful:
		return finishWhenProven(s, s.Record.Base, RolledBack)
	case statusRollbackFailed:
		return Action{Verb: GiveUp, Outcome: Unproven, Cause: s.Record.Cause,
			Text: "rolling back failed, the fleet is mixed: " + describeFleet(s) + reasonOf(*s.Refresh),
			Fix:  "wpbake status; when nodes can be launched again: wpbake rollback"}
	case statusFailed, statusCancelled:
		return endedWithoutUndoing(s)
	case statusRollbackInProgress:
		return Action{Verb: Await, Text: "rolling back"}
	case statusCancelling:
		return Action{Verb: Await, Text: "somebody is cancelling the refresh"}
	}
	if s.Record.Undo != "" {
		return Action{Verb: StartRollback, Cause: s.Record.Undo}
	}
	v := judge(s)
	if v.state == verdictBad {
		return Action{Verb: StartRollback, Cause: v.cause, Node: v.node}
	}
	return Action{Verb: Await, Text: v.text()}
}

// endedWithoutUndoing is the end of a refresh that failed or was cancelled:
// AWS undoes nothing then. It is no harm as long as no node had moved.
func endedWithoutUndoing(s State) Action {
	moved := nodesOn(s.Group, s.Templates)
	if len(moved) == 0 && sameTemplates(s.Group.Templates, s.Record.Base) {
		return Action{Verb: Finish, Outcome: Abandoned,
			Cause: fmt.Sprintf("instance refresh %s ended %s before any node moved%s", s.Refresh.ID, s.Refresh.Status, reasonOf(*s.Refresh)),
			Fix:   "the same command again"}
	}
	return Action{Verb: GiveUp, Outcome: Unproven,
		Text: fmt.Sprintf("instance refresh %s ended %s%s, not by this run, and the fleet is mixed: %s", s.Refresh.ID, s.Refresh.Status, reasonOf(*s.Refresh), describeFleet(s)),
		Fix:  "wpbake release again to go forward, wpbake rollback to go back"}
}

func finishWhenProven(s State, templates []TemplateRef, o Outcome) Action {
	missing := unproven(s, templates)
	if o == Released {
		missing = append(missing, unpinned(s)...)
	}
	if len(missing) == 0 && o == Released && s.Asks && s.Record.wantsSchema() {
		return Action{Verb: UpgradeSchema}
	}
	if len(missing) == 0 {
		return Action{Verb: Finish, Outcome: o, Cause: s.Record.Cause, Node: s.Record.BadNode}
	}
	if s.Now.Sub(settledAt(s)) < s.Limits.Settle {
		return Action{Verb: Await, Text: "proving the fleet: " + missing[0]}
	}
	a := Action{Verb: GiveUp, Cause: s.Record.Cause,
		Text: "the refresh ended " + s.Refresh.Status + ", but the fleet could not be proven: " + strings.Join(missing, "; "),
		Fix:  "wpbake status; aws ec2 get-console-output shows what a node says"}
	if !sameTemplates(s.Group.Templates, templates) {
		a.Outcome = Unproven // somebody moved the group on: an open run would be in the way of every later one
	}
	return a
}

// settledAt is when this program saw the refresh ended: AWS's clock is not
// compared with ours.
func settledAt(s State) time.Time {
	for _, st := range s.Record.Steps {
		if st.Step == StepSettled {
			return st.Time
		}
	}
	return s.Now
}

func nodesOn(g Group, templates []TemplateRef) []Node {
	var on []Node
	for _, n := range g.Nodes {
		if slices.ContainsFunc(templates, n.Template.same) {
			on = append(on, n)
		}
	}
	return on
}

func describeFleet(s State) string {
	ours := len(nodesOn(s.Group, s.Templates))
	return fmt.Sprintf("%d of %d nodes on %s", ours, len(s.Group.Nodes), s.Record.Version)
}

func describeTemplates(ts []TemplateRef) string {
	parts := make([]string, len(ts))
	for i, t := range ts {
		parts[i] = t.ID + " version " + t.Version
	}
	return strings.Join(parts, ", ")
}

func reasonOf(r Refresh) string {
	switch {
	case r.RollbackReason != "":
		return " (" + r.RollbackReason + ")"
	case r.Reason != "":
		return " (" + r.Reason + ")"
	}
	return ""
}
