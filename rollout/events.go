package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// emit stamps an event and hands it on.
func (b *Engine) emit(e Event) {
	e.Time = time.Now().UTC()
	b.o.Events(e)
}

// emitted is what was last told, so that only changes are told again.
type emitted struct {
	refresh RefreshView
	nodes   map[string]NodeView
	waits   string
}

// emitChanges tells what changed in the group since the last look.
func (r *run) emitChanges(s State) {
	views := nodeViews(s)
	refresh := RefreshView{}
	if s.Refresh != nil {
		refresh = RefreshView{ID: s.Refresh.ID, Status: s.Refresh.Status, Percent: s.Refresh.Percent, Remaining: s.Refresh.Remaining, Reason: s.Refresh.Reason}
	}
	before := r.emitted
	r.emitted = emitted{refresh: refresh, nodes: byID(views), waits: before.waits}
	if before.nodes == nil || refresh.String() != before.refresh.String() {
		r.b.emit(Event{Kind: "refresh", Run: r.rec.Run, Version: r.rec.Version, Text: refresh.String(), Refresh: &refresh, Nodes: views})
	}
	if before.nodes == nil {
		return
	}
	for _, v := range views {
		if before.nodes[v.ID] != v {
			r.b.emit(Event{Kind: "node", Run: r.rec.Run, Text: v.String(), Node: &v})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before.nodes)) {
		if _, there := r.emitted.nodes[id]; !there {
			gone := NodeView{ID: id, Lifecycle: Gone}
			r.b.emit(Event{Kind: "node", Run: r.rec.Run, Text: gone.String(), Node: &gone})
		}
	}
}

func byID(views []NodeView) map[string]NodeView {
	m := make(map[string]NodeView, len(views))
	for _, v := range views {
		m[v.ID] = v
	}
	return m
}

// wait tells what is awaited, once.
func (r *run) wait(text string) {
	if text == "" || text == r.emitted.waits {
		return
	}
	r.emitted.waits = text
	r.b.emit(Event{Kind: "wait", Run: r.rec.Run, Text: text})
}

// String is one line for people.
func (v RefreshView) String() string {
	if v.ID == "" {
		return "no instance refresh yet"
	}
	return fmt.Sprintf("refresh %s, %d%% done, %d not begun", v.Status, v.Percent, v.Remaining)
}

// String is one line for people.
func (v NodeView) String() string {
	words := []string{v.ID, v.Lifecycle}
	if v.Version != "" {
		words = append(words, "on "+string(v.Version))
	}
	if v.Verdict != "" {
		words = append(words, v.Verdict)
	}
	if v.Target != "" {
		words = append(words, "target "+v.Target)
	}
	if v.Waits != "" {
		words = append(words, "waits for "+v.Waits)
	}
	if v.Cause != "" {
		words = append(words, "("+v.Cause+")")
	}
	if v.Note != "" {
		words = append(words, "("+v.Note+")")
	}
	return strings.Join(words, " ")
}

func nodeViews(s State) []NodeView {
	views := make([]NodeView, 0, len(s.Group.Nodes))
	for _, n := range s.Group.Nodes {
		v := NodeView{ID: n.ID, Zone: n.Zone, Lifecycle: n.Lifecycle, Template: n.Template.Version, Target: worst(s.Targets[n.ID])}
		if p, ok := s.pin(n.Template); ok {
			v.Version = p.Version
		}
		if r, ok := s.Reports[n.ID]; ok {
			v.Digest, v.Verdict, v.Cause = r.Manifest, r.Verdict, r.Cause
			v.As, v.Note = r.As, strings.Join(r.Notes, "; ")
		}
		v.Waits = waitsFor(v)
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b NodeView) int { return strings.Compare(a.ID, b.ID) })
	return views
}

// worst is the state of the target group that is furthest from healthy.
func worst(ts []Target) string {
	state := ""
	for _, t := range ts {
		if state == "" || state == "healthy" {
			state = t.State
		}
	}
	return state
}

func waitsFor(v NodeView) string {
	switch {
	case strings.HasPrefix(v.Lifecycle, "Pending") && v.Verdict == "":
		return "boot"
	case strings.HasPrefix(v.Lifecycle, "Pending"):
		return "hook"
	case v.Lifecycle == "InService" && v.Target != "" && v.Target != "healthy":
		return "target"
	case strings.HasPrefix(v.Lifecycle, "Terminating"):
		return "drain"
	}
	return ""
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
