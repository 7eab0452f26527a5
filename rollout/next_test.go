package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout/userdata"
)

var (
	epoch  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	base   = TemplateRef{ID: "lt-1", Name: "shop", Version: "4"}
	target = TemplateRef{ID: "lt-1", Name: "shop", Version: "5"}
	oldSum = artifact.DigestOf([]byte("v41"))
	newSum = artifact.DigestOf([]byte("v42"))
)

// releasing is a run of v42 over v41 whose refresh has been in progress for
// some time: three nodes, none replaced yet.
func releasing(age time.Duration) State {
	now := epoch.Add(age)
	s := State{
		Now:   now,
		Group: Group{Name: "shop", Min: 3, Max: 6, Desired: 3, Templates: []TemplateRef{base}, TargetGroups: []string{"tg"}},
		Record: Record{
			Format: 1, Run: "R42", Kind: Release, Version: "v42", Manifest: newSum, Base: []TemplateRef{base},
			Templates: []TemplateRef{target}, Refresh: "r-1", Started: epoch,
			Steps: []StepTime{{StepRecord, epoch}, {StepTemplate, epoch}, {StepRefresh, epoch}},
		},
		Templates: []TemplateRef{target},
		Refresh:   &Refresh{ID: "r-1", Status: "InProgress", Templates: []TemplateRef{target}},
		Reports:   map[string]node.Report{},
		Pins: map[TemplateRef]userdata.Boot{
			base:   {Group: "shop", Run: "R41", Version: "v41", Manifest: oldSum},
			target: {Group: "shop", Run: "R42", Version: "v42", Manifest: newSum},
		},
		Targets:   map[string][]Target{},
		Unhealthy: map[string]int{},
		Limits:    Limits{FirstNode: 15 * time.Minute, Settle: 5 * time.Minute},
	}
	for i := range 3 {
		s.add(fmt.Sprintf("i-old%d", i), base, "InService", good("R41", oldSum))
	}
	return s
}

func (s *State) add(id string, t TemplateRef, lifecycle string, r *node.Report) {
	s.Group.Nodes = append(s.Group.Nodes, Node{ID: id, Lifecycle: lifecycle, Healthy: true, Template: t})
	if r != nil {
		r.Instance = id
		s.Reports[id] = *r
	}
}

func (s *State) settle(status string, ago time.Duration) {
	s.Refresh.Status = status
	s.Record.Steps = append(s.Record.Steps, StepTime{StepSettled, s.Now.Add(-ago)})
}

func (s *State) replaceAll() {
	s.Group.Nodes = nil
	for i := range 3 {
		s.add(fmt.Sprintf("i-new%d", i), target, "InService", good("R42", newSum))
	}
}

func good(run string, d artifact.Digest) *node.Report {
	return &node.Report{Run: run, Manifest: d, Verdict: node.Good, Finished: epoch.Add(time.Minute)}
}

func bad(stage, cause string) *node.Report {
	return &node.Report{Run: "R42", Verdict: node.Bad, Stage: stage, Cause: cause, Finished: epoch.Add(time.Minute)}
}

func TestNext(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*State)
		age     time.Duration
		verb    Verb
		outcome Outcome
		says    string // in Text or Cause
	}{
		{name: "no template version yet", change: func(s *State) { s.Refresh, s.Templates, s.Record.Refresh = nil, []TemplateRef{{ID: "lt-1"}}, "" }, verb: MakeTemplate},
		{name: "template made, no refresh", change: func(s *State) { s.Refresh, s.Record.Refresh = nil, "" }, verb: StartRefresh},
		{name: "template of the group changed meanwhile", change: func(s *State) {
			s.Refresh, s.Record.Refresh = nil, ""
			s.Group.Templates = []TemplateRef{{ID: "lt-1", Version: "9"}}
		}, verb: Finish, outcome: Abandoned, says: "somebody changed"},
		{name: "foreign refresh before ours", change: func(s *State) {
			s.Refresh, s.Record.Refresh, s.Foreign = nil, "", &Refresh{ID: "r-9", Status: "InProgress"}
		}, verb: Finish, outcome: Abandoned, says: "r-9"},
		{name: "foreign refresh after ours", change: func(s *State) { s.settle("Cancelled", 0); s.Foreign = &Refresh{ID: "r-9", Status: "Pending"} }, verb: GiveUp, says: "r-9"},
		{name: "refresh fell out of the history", change: func(s *State) { s.Refresh = nil }, verb: GiveUp, outcome: Unproven, says: "history"},
		{name: "nothing to see yet", change: func(*State) {}, age: time.Minute, verb: Await, says: "first new node"},
		{name: "a status nobody has seen before", change: func(s *State) { s.Refresh.Status = "Simmering" }, age: time.Minute, verb: Await},
		{name: "first node bad at the gate", change: func(s *State) { s.add("i-new", target, "Pending:Wait", bad("gate", "PHP Parse error")) }, age: time.Minute, verb: StartRollback, says: "PHP Parse error"},
		{name: "bad node is gone already", change: func(s *State) {
			s.add("i-new", target, "x", bad("gate", "boom"))
			s.Group.Nodes = s.Group.Nodes[:3]
		}, age: time.Minute, verb: StartRollback, says: "boom"},
		{name: "node terminated in the middle of its boot", change: func(s *State) {
			r := bad("fetch", "interrupted")
			r.Verdict = node.Unknown
			s.add("i-new", target, "Terminating", r)
		}, age: time.Minute, verb: Await, says: "first new node"},
		{name: "one node could not read the manifest", change: func(s *State) { s.add("i-new", target, "Pending:Wait", bad("manifest", "503")) }, age: time.Minute, verb: Await},
		{name: "one node could not fetch the artifact", change: func(s *State) { s.add("i-new", target, "Pending:Wait", bad("fetch", "503")) }, age: time.Minute, verb: Await},
		{name: "two nodes could not read the manifest", change: func(s *State) {
			s.add("i-new", target, "Pending:Wait", bad("manifest", "503"))
			s.add("i-new2", target, "Pending:Wait", bad("manifest", "503"))
		}, age: time.Minute, verb: StartRollback},
		{name: "one bad node after a good one", change: func(s *State) {
			s.add("i-new", target, "InService", good("R42", newSum))
			s.add("i-new2", target, "Pending:Wait", bad("gate", "boom"))
		}, age: time.Minute, verb: Await, says: "replacing"},
		{name: "two bad nodes after a good one", change: func(s *State) {
			s.add("i-new", target, "InService", good("R42", newSum))
			s.add("i-new2", target, "Pending:Wait", bad("gate", "boom"))
			s.add("i-new3", target, "Pending:Wait", bad("gate", "boom"))
		}, age: time.Minute, verb: StartRollback},
		{name: "launches fail", change: func(s *State) {
			s.Activities = []Activity{{Status: "Failed", Description: "Launching a new EC2 instance", Message: "bad AMI"}, {Status: "Failed", Description: "Launching a new EC2 instance", Message: "bad AMI"}}
		}, age: time.Minute, verb: StartRollback, says: "bad AMI"},
		{name: "capacity is short", change: func(s *State) {
			s.Activities = []Activity{{Status: "Failed", Description: "Launching a new EC2 instance", Message: "InsufficientInstanceCapacity"}, {Status: "Failed", Description: "Launching a new EC2 instance", Message: "InsufficientInstanceCapacity"}}
		}, age: time.Minute, verb: Await},
		{name: "capacity stays short", change: func(s *State) {
			s.Activities = []Activity{{Status: "Failed", Description: "Launching a new EC2 instance", Message: "InsufficientInstanceCapacity"}}
		}, age: 16 * time.Minute, verb: StartRollback, says: "InsufficientInstanceCapacity"},
		{name: "silence", change: func(*State) {}, age: 16 * time.Minute, verb: StartRollback, says: "15m"},
		{name: "unhealthy behind the balancer, twice", change: func(s *State) { s.unhealthy(2) }, age: time.Minute, verb: Await},
		{name: "unhealthy behind the balancer, three times", change: func(s *State) { s.unhealthy(3) }, age: time.Minute, verb: StartRollback, says: "Target.ResponseCodeMismatch"},
		{name: "a person wants it undone", change: func(s *State) { s.Record.Undo = "wpbake rollback" }, age: time.Minute, verb: StartRollback, says: "wpbake rollback"},
		{name: "baking", change: func(s *State) { s.replaceAll(); s.Refresh.Status = "Baking" }, age: time.Hour, verb: Await},
		{name: "successful, not all reported", change: func(s *State) {
			s.replaceAll()
			s.saved()
			delete(s.Reports, "i-new1")
			s.settle("Successful", time.Minute)
		}, verb: Await, says: "i-new1"},
		{name: "successful, never all reported", change: func(s *State) {
			s.replaceAll()
			s.saved()
			delete(s.Reports, "i-new1")
			s.settle("Successful", 6*time.Minute)
		}, verb: GiveUp, says: "i-new1"},
		{name: "successful, one node serves the old digest", change: func(s *State) {
			s.replaceAll()
			s.saved()
			r := s.Reports["i-new1"]
			r.Manifest = oldSum
			s.Reports["i-new1"] = r
			s.settle("Successful", 6*time.Minute)
		}, verb: GiveUp, says: oldSum.Short()},
		{name: "successful, saved version did not move", change: func(s *State) { s.replaceAll(); s.settle("Successful", 6*time.Minute) }, verb: GiveUp, outcome: Unproven, says: "saved version"},
		{name: "successful, what it pins cannot be read", change: func(s *State) {
			s.replaceAll()
			s.saved()
			delete(s.Pins, target)
			s.settle("Successful", 6*time.Minute)
		}, verb: GiveUp, says: "does not pin"},
		{name: "successful, a node in standby", change: func(s *State) {
			s.replaceAll()
			s.saved()
			s.add("i-standby", base, "Standby", good("R41", oldSum))
			s.settle("Successful", 0)
		}, verb: Finish, outcome: Released},
		{name: "successful and proven", change: func(s *State) { s.replaceAll(); s.saved(); s.settle("Successful", 0) }, verb: Finish, outcome: Released},
		{name: "rolling back", change: func(s *State) { s.Refresh.Status = "RollbackInProgress" }, verb: Await, says: "rolling back"},
		{name: "rolled back and proven", change: func(s *State) { s.settle("RollbackSuccessful", 0) }, verb: Finish, outcome: RolledBack},
		{name: "rolled back, a bad node remains", change: func(s *State) {
			s.add("i-new", target, "InService", nil)
			s.settle("RollbackSuccessful", 6*time.Minute)
		}, verb: GiveUp, says: "i-new"},
		{name: "rollback failed", change: func(s *State) { s.settle("RollbackFailed", 0) }, verb: GiveUp, outcome: Unproven, says: "rolling back failed"},
		{name: "cancelled before a node moved", change: func(s *State) { s.settle("Cancelled", 0) }, verb: Finish, outcome: Abandoned, says: "before any node moved"},
		{name: "cancelled half-way", change: func(s *State) { s.add("i-new", target, "InService", good("R42", newSum)); s.settle("Cancelled", 0) }, verb: GiveUp, outcome: Unproven, says: "mixed"},
		{name: "failed half-way", change: func(s *State) { s.add("i-new", target, "InService", good("R42", newSum)); s.settle("Failed", 0) }, verb: GiveUp, outcome: Unproven, says: "mixed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := releasing(tt.age)
			tt.change(&s)
			a := Next(s)
			if a.Verb != tt.verb || a.Outcome != tt.outcome {
				t.Fatalf("Next = %+v, want %s %s", a, tt.verb, tt.outcome)
			}
			if !strings.Contains(a.Text+a.Cause, tt.says) {
				t.Errorf("Next says %q %q, want %q in it", a.Text, a.Cause, tt.says)
			}
			if a.Verb == GiveUp && a.Fix == "" {
				t.Error("giving up without saying what to do")
			}
		})
	}
}

func (s *State) saved() { s.Group.Templates = []TemplateRef{target} }

func (s *State) unhealthy(looks int) {
	s.add("i-new", target, "InService", good("R42", newSum))
	s.Targets["i-new"] = []Target{{ID: "i-new", State: "unhealthy", Reason: "Target.ResponseCodeMismatch"}}
	s.Unhealthy["i-new"] = looks
}

// TestNextNeverSucceedsUnproven draws fleets at random: whatever AWS says,
// nothing but a proven fleet ends a run as released or rolled back (promise
// P4), and an untested version is never what a rollback proves.
func TestNextNeverSucceedsUnproven(t *testing.T) {
	statuses := []string{"Pending", "InProgress", "Successful", "Failed", "Cancelling", "Cancelled", "RollbackInProgress", "RollbackFailed", "RollbackSuccessful", "Baking", "Novel"}
	rapid.Check(t, func(t *rapid.T) {
		s := releasing(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
		s.Group.Nodes, s.Reports = nil, map[string]node.Report{}
		s.Group.Templates = []TemplateRef{rapid.SampledFrom([]TemplateRef{base, target}).Draw(t, "saved")}
		for i := range rapid.IntRange(0, 5).Draw(t, "nodes") {
			ref := rapid.SampledFrom([]TemplateRef{base, target}).Draw(t, "template")
			var r *node.Report
			switch rapid.IntRange(0, 3).Draw(t, "report") {
			case 0:
				r = good("R42", newSum)
			case 1:
				r = good("R41", oldSum)
			case 2:
				r = bad("gate", "boom")
			}
			s.add(fmt.Sprintf("i-%d", i), ref, rapid.SampledFrom([]string{"InService", "Pending:Wait", "Terminating"}).Draw(t, "lifecycle"), r)
		}
		s.settle(rapid.SampledFrom(statuses).Draw(t, "status"), 0)
		a := Next(s)
		if a.Verb != Finish || a.Outcome == Abandoned {
			return
		}
		want, sum := target, newSum
		if a.Outcome == RolledBack {
			want, sum = base, oldSum
		}
		if s.Group.Templates[0] != want {
			t.Fatalf("%s with saved version %s", a.Outcome, s.Group.Templates[0].Version)
		}
		for _, n := range s.Group.Nodes {
			if n.Lifecycle == "InService" && (n.Template != want || s.Reports[n.ID].Manifest != sum || s.Reports[n.ID].Verdict != node.Good) {
				t.Fatalf("%s with node %+v, report %+v", a.Outcome, n, s.Reports[n.ID])
			}
		}
	})
}

func TestPreferencesKeepCapacity(t *testing.T) {
	for desired := 1; desired <= 200; desired++ {
		p := preferencesFor(Group{Desired: desired, Warmup: -1, Grace: time.Minute}, RefreshOptions{})
		if p.MinHealthy != 100 || desired*p.MaxHealthy/100 <= desired || p.MaxHealthy-p.MinHealthy > 100 {
			t.Errorf("desired %d: %+v", desired, p)
		}
		if !p.AutoRollback || p.Protected == "Wait" || p.Standby == "Wait" || p.Warmup != time.Minute {
			t.Errorf("desired %d: %+v", desired, p)
		}
	}
}

func TestWayBack(t *testing.T) {
	v40 := artifact.DigestOf([]byte("v40"))
	p := Proven{Releases: []ProvenRelease{
		{Version: "v41", Manifest: oldSum, Templates: []TemplateRef{base}},
		{Version: "v40", Manifest: v40},
	}}
	s := releasing(0)
	if got, _, err := (Observation{State: s, Proven: p}).wayBack(""); err != nil || got.Version != "v40" {
		t.Errorf("from a fleet on v41: %v, %v", got.Version, err)
	}
	s.add("i-new", target, "InService", good("R42", newSum))
	if got, _, err := (Observation{State: s, Proven: p}).wayBack(""); err != nil || got.Version != "v41" {
		t.Errorf("from a mixed fleet saved on v41: %v, %v", got.Version, err)
	}
	if _, _, err := (Observation{State: s, Proven: p}).wayBack("v42"); err == nil || !strings.Contains(err.Error(), "never proven") {
		t.Errorf("to a version never proven: %v", err)
	}
	s = releasing(0)
	p = p.withdrawing(v40, epoch)
	if _, _, err := (Observation{State: s, Proven: p}).wayBack(""); err == nil {
		t.Error("went back to a release that a rollback had left")
	}
	if got, _, err := (Observation{State: s, Proven: p}).wayBack("v40"); err != nil || got.Version != "v40" {
		t.Errorf("to v40 by name: %v, %v", got.Version, err)
	}
}
