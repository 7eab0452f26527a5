package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/node"
)

type verdictState int

const (
	verdictUnknown verdictState = iota // no evidence either way
	verdictGood                        // a new node has proven itself
	verdictBad
)

// verdict is three-valued: a node that says nothing yet is neither.
type verdict struct {
	state verdictState
	node  string
	cause string
}

func (v verdict) text() string {
	if v.state == verdictGood {
		return "replacing nodes"
	}
	return "waiting for the first new node"
}

// How many nodes, or looks in a row, it takes to call a release bad.
const (
	badNodesOnceGood  = 2 // after a node has proven the content, one bad node can be bad hardware
	badNodesByNetwork = 2 // stages before the content is on the node can fail for reasons outside it
	failedLaunches    = 2
	unhealthyLooks    = 3
)

// judge asks what the new nodes have shown so far. AWS itself would retry a
// node that never gets healthy for about an hour.
func judge(s State) verdict {
	good, bad := newReports(s)
	if v := judgeReports(good, bad); v.state == verdictBad {
		return v
	}
	if v := judgeTargets(s); v.state == verdictBad {
		return v
	}
	if len(good) > 0 {
		return verdict{state: verdictGood, node: good[0].Instance}
	}
	return judgeSilence(s)
}

// newReports are the boot reports of this run's nodes since the refresh
// began, in the order they came.
func newReports(s State) (good, bad []node.Report) {
	for _, r := range s.Reports {
		if r.Run != s.runOfTarget() || !s.isNew(r) {
			continue
		}
		switch r.Verdict {
		case node.Good:
			good = append(good, r)
		case node.Bad:
			bad = append(bad, r)
		}
	}
	byTime := func(a, b node.Report) int {
		if c := a.Finished.Compare(b.Finished); c != 0 {
			return c
		}
		return strings.Compare(a.Instance, b.Instance)
	}
	slices.SortFunc(good, byTime)
	slices.SortFunc(bad, byTime)
	return good, bad
}

// runOfTarget is the run whose boot reports the new nodes write: a rollback's
// nodes boot from the template versions of the run that made them.
func (s State) runOfTarget() string {
	for _, t := range s.Templates {
		if p, ok := s.Pins[t]; ok {
			return p.Run
		}
	}
	return s.Record.Run
}

// isNew tells reports of this rollout from those that the same template
// version produced in an earlier one: an instance that was in the group when
// the run began had reported before.
func (s State) isNew(r node.Report) bool {
	return !r.Finished.Before(s.Record.Started) || s.Record.Kind == Release
}

func judgeReports(good, bad []node.Report) verdict {
	if len(bad) == 0 {
		return verdict{}
	}
	need := 1
	if len(good) > 0 {
		need = badNodesOnceGood
	} else if beforeContent(bad[0].Stage) {
		need = badNodesByNetwork
	}
	if len(bad) < need {
		return verdict{}
	}
	return verdict{state: verdictBad, node: bad[0].Instance, cause: badNode(bad[0])}
}

func badNode(r node.Report) string {
	return fmt.Sprintf("node %s failed at %s: %s", r.Instance, r.Stage, r.Cause)
}

// beforeContent names the stages of a boot whose failure says nothing about
// the release's content.
func beforeContent(stage string) bool {
	switch stage {
	case "identity", "lock", "manifest", "fetch":
		return true
	}
	return false
}

func judgeTargets(s State) verdict {
	for _, n := range nodesOn(s.Group, s.Templates) {
		if n.Lifecycle != "InService" || s.Unhealthy[n.ID] < unhealthyLooks {
			continue
		}
		for _, t := range s.Targets[n.ID] {
			if t.State == "unhealthy" {
				return verdict{state: verdictBad, node: n.ID, cause: fmt.Sprintf("node %s is unhealthy behind its load balancer: %s %s", n.ID, t.Reason, t.Description)}
			}
		}
	}
	return verdict{}
}

// judgeSilence looks at launches that failed and at the clock.
func judgeSilence(s State) verdict {
	failed := 0
	last := ""
	for _, a := range s.Activities {
		if a.Status != "Failed" || !strings.HasPrefix(a.Description, "Launching") {
			continue
		}
		last = a.Message
		if !strings.Contains(a.Message, "InsufficientInstanceCapacity") {
			failed++
		}
	}
	if failed >= failedLaunches {
		return verdict{state: verdictBad, cause: "launching nodes fails: " + last}
	}
	if since := s.Now.Sub(refreshedAt(s)); since >= s.Limits.FirstNode {
		cause := fmt.Sprintf("no new node has proven itself within %s", s.Limits.FirstNode)
		if last != "" {
			cause += ": " + last
		}
		return verdict{state: verdictBad, cause: cause}
	}
	return verdict{}
}

// refreshedAt is when this program recorded the start of the refresh.
func refreshedAt(s State) time.Time {
	for _, st := range s.Record.Steps {
		if st.Step == StepRefresh {
			return st.Time
		}
	}
	return s.Now
}
