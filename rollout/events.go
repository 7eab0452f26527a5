package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Event is one change worth telling.
type Event struct {
	Time    time.Time        `json:"time"`
	Kind    string           `json:"event"` // step, refresh, node, verdict, wait, note, incompatibility
	Run     string           `json:"run,omitempty"`
	Step    Step             `json:"step,omitempty"`
	Text    string           `json:"text"` // one line for people
	Version artifact.Version `json:"version,omitempty"`
	Refresh *RefreshView     `json:"refresh,omitempty"`
	Node    *NodeView        `json:"node,omitempty"`  // the node that changed
	Nodes   []NodeView       `json:"nodes,omitempty"` // with kind refresh: the whole group
}

// RefreshView is the part of a refresh that a live view shows.
type RefreshView struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Percent   int    `json:"percent"`
	Remaining int    `json:"remaining"`
	Reason    string `json:"reason,omitempty"`
}

// Gone is the lifecycle state, in a live view, of a node that has left the group.
const Gone = "Gone"

// NodeView is one node in a live view of the group.
type NodeView struct {
	ID        string           `json:"id"`
	Zone      string           `json:"zone,omitempty"`
	Lifecycle string           `json:"lifecycle"`
	Target    string           `json:"target,omitempty"` // target health, worst of all target groups
	Template  string           `json:"template"`         // number of its template version
	Version   artifact.Version `json:"version,omitempty"`
	Digest    artifact.Digest  `json:"digest,omitempty"` // what it reported, empty before
	Verdict   string           `json:"verdict,omitempty"`
	Waits     string           `json:"waits,omitempty"` // where it stands: boot, hook, target, warm-up, drain
	Cause     string           `json:"cause,omitempty"`
	As        string           `json:"as,omitempty"`   // how the release lies on it: dir, erofs or volume
	Note      string           `json:"note,omitempty"` // what went another way than wished, and did no harm
}

// emitter tells what changes, in order, and nothing twice.
type emitter struct {
	sink    func(Event)
	refresh RefreshView // as last told
	nodes   map[string]NodeView
	waits   string
}

// emit stamps an event and hands it on.
func (t *emitter) emit(e Event) {
	e.Time = time.Now().UTC()
	t.sink(e)
}

func (t *emitter) note(run string, format string, args ...any) {
	t.emit(Event{Kind: "note", Run: run, Text: fmt.Sprintf(format, args...)})
}

// changes tells what changed in the group since it was called last.
func (t *emitter) changes(s State) {
	views := nodeViews(s)
	refresh := RefreshView{}
	if s.Refresh != nil {
		refresh = s.Refresh.view()
	}
	run, before, lastRefresh := s.Record.Run, t.nodes, t.refresh
	t.refresh, t.nodes = refresh, byID(views)
	if before == nil || refresh.String() != lastRefresh.String() {
		t.emit(Event{Kind: "refresh", Run: run, Version: s.Record.Version, Text: refresh.String(), Refresh: &refresh, Nodes: views})
	}
	if before == nil {
		return
	}
	for _, v := range views {
		if before[v.ID] != v {
			t.emit(Event{Kind: "node", Run: run, Text: v.String(), Node: &v})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, there := t.nodes[id]; !there {
			gone := NodeView{ID: id, Lifecycle: Gone}
			t.emit(Event{Kind: "node", Run: run, Text: gone.String(), Node: &gone})
		}
	}
}

// waiting tells what is awaited, once.
func (t *emitter) waiting(run, text string) {
	if text == "" || text == t.waits {
		return
	}
	t.waits = text
	t.emit(Event{Kind: "wait", Run: run, Text: text})
}

func (t *emitter) incompatibilities(run string, v artifact.Version, found []database.Incompatibility) {
	for _, i := range found {
		t.emit(Event{Kind: "incompatibility", Run: run, Version: v, Text: fmt.Sprintf("%s %s: %s", i.ID, i.Name, i.Text)})
	}
}

func byID(views []NodeView) map[string]NodeView {
	m := make(map[string]NodeView, len(views))
	for _, v := range views {
		m[v.ID] = v
	}
	return m
}

func schemaText(r Record) string {
	switch {
	case r.Schema != nil:
		return fmt.Sprintf("the database went from schema %d to %d", r.Schema.Before, r.Schema.After)
	case r.Database == nil:
		return fmt.Sprintf("whether the database has schema %d is not known: wpbake node schema brings it there", r.Code)
	}
	return fmt.Sprintf("the database has schema %d", r.Database.Schema)
}

func stepText(s Step, r Record) string {
	switch s {
	case StepRecord:
		return fmt.Sprintf("run %s: %s of %s", r.Run, r.Kind, r.Version)
	case StepTemplate:
		return "template " + describeTemplates(r.Templates)
	case StepRefresh:
		return "instance refresh " + r.Refresh + " started"
	case StepVerdict:
		if r.Cause != "" {
			return "verdict: bad"
		}
		return "the first new node proved itself"
	case StepRollback:
		return "rolling back: " + r.Cause
	case StepSettled:
		return "the refresh has ended"
	case StepProven:
		return "every node proven"
	case StepSnapshot:
		return "the database is saved as " + cmp.Or(r.Snapshot, "the hook has it")
	case StepSchema:
		return schemaText(r)
	case StepDone:
		return string(r.Outcome)
	}
	return string(s)
}
