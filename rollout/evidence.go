package rollout

import (
	"context"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

// Evidence is what is saved of a node before its refresh is rolled back: soon
// afterwards AWS has terminated it.
type Evidence struct {
	Format     int          `json:"format"`
	Run        string       `json:"run"`
	Cause      string       `json:"cause"`
	Node       *Node        `json:"node,omitempty"`
	Report     *node.Report `json:"report,omitempty"`
	Targets    []Target     `json:"targets,omitempty"`
	Console    string       `json:"console,omitempty"`
	Activities []Activity   `json:"activities,omitempty"`
	Saved      time.Time    `json:"saved"`
}

// saveEvidence tells when it cannot: evidence must not be in the way of going
// back.
func (r *run) saveEvidence(ctx context.Context, s State, a Action) {
	e := Evidence{Format: 1, Run: r.journal.rec.Run, Cause: a.Cause, Activities: s.Activities, Saved: time.Now().UTC()}
	name := "refresh.json"
	if a.Node != "" {
		name = a.Node + ".json"
		e.Targets = s.Targets[a.Node]
		if rep, ok := s.Reports[a.Node]; ok {
			e.Report = &rep
		}
		for _, n := range s.Group.Nodes {
			if n.ID == a.Node {
				e.Node = &n
			}
		}
		// Console output is a courtesy of AWS and often not there yet.
		if out, err := r.o.Cloud.Fleet.Console(ctx, a.Node); err == nil {
			e.Console = out
		}
	}
	if _, err := r.journal.docs.write(ctx, evidenceFolder(r.journal.rec.Group, r.journal.rec.Run)+name, e, artifact.Condition{}); err != nil {
		r.emitter.note(r.journal.rec.Run, "saving evidence: %v", err)
	}
}
