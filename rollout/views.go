package rollout

import (
	"fmt"
	"slices"
	"strings"
)

func (r Refresh) view() RefreshView {
	return RefreshView{ID: r.ID, Status: r.Status, Percent: r.Percent, Remaining: r.Remaining, Reason: r.Reason}
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
