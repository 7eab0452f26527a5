package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/wpbake/wpbake/rollout"
)

// liveView is a group in the middle of a rollout, as a terminal shows it.
type liveView struct {
	title   string
	elapsed time.Duration
	refresh *rollout.RefreshView
	nodes   []rollout.NodeView
}

// see takes an event into the view and reports whether the event's text
// is worth a line that stays.
func (v *liveView) see(e rollout.Event) bool {
	if e.Refresh != nil {
		v.refresh = e.Refresh
	}
	if e.Nodes != nil {
		v.nodes = e.Nodes
	}
	if e.Node != nil {
		v.put(*e.Node)
	}
	return e.Text != "" && e.Kind != "refresh" && e.Kind != "node"
}

func (v *liveView) put(n rollout.NodeView) {
	i := slices.IndexFunc(v.nodes, func(known rollout.NodeView) bool { return known.ID == n.ID })
	switch {
	case n.Lifecycle == rollout.Gone && i >= 0:
		v.nodes = slices.Delete(slices.Clone(v.nodes), i, i+1)
	case i >= 0:
		v.nodes[i] = n
	case n.Lifecycle != rollout.Gone:
		v.nodes = append(v.nodes, n)
	}
}

// styles color the words of a view.
type styles struct{ title, good, bad, busy, dim lipgloss.Style }

func newStyles(r *lipgloss.Renderer) styles {
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return styles{title: r.NewStyle().Bold(true), good: color("2"), bad: color("1"), busy: color("3"), dim: r.NewStyle().Faint(true)}
}

// lines draws the view for a terminal of this size.
func (v *liveView) lines(st styles, columns, rows int) []string {
	out := []string{st.title.Render(Printable(v.title)) + "  " + st.dim.Render(strings.TrimSpace(clock(v.elapsed)))}
	if v.refresh != nil {
		out = append(out, v.refreshLine(st))
	}
	table := [][]cell{{{"node", st.dim}, {"zone", st.dim}, {"state", st.dim}, {"target", st.dim}, {"release", st.dim}, {"waits for", st.dim}}}
	shown := v.shown(max(1, rows-around))
	for _, n := range shown {
		table = append(table, nodeRow(n, st))
	}
	if len(shown) > 0 {
		for _, line := range grid(table, 0) {
			out = append(out, "  "+line)
		}
	}
	if rest := len(v.nodes) - len(shown); rest > 0 {
		out = append(out, st.dim.Render(fmt.Sprintf("  and %d more", rest)))
	}
	fit := lipgloss.NewStyle().MaxWidth(max(columns, 20)).Inline(true)
	for i := range out {
		out[i] = fit.Render(out[i])
	}
	return out
}

// around is how many lines a view has beside those of nodes: three above,
// one below, and the one that the cursor stands on.
const around = 5

// shown is at most that many nodes; of more, those that wait come first.
func (v *liveView) shown(most int) []rollout.NodeView {
	if len(v.nodes) <= most {
		return v.nodes
	}
	var waiting, still []rollout.NodeView
	for _, n := range v.nodes {
		if n.Waits != "" || n.Verdict == "bad" {
			waiting = append(waiting, n)
		} else {
			still = append(still, n)
		}
	}
	return append(waiting, still...)[:most]
}

func (v *liveView) refreshLine(st styles) string {
	r := v.refresh
	const wide = 20
	full := max(0, min(wide, r.Percent*wide/100))
	style := st.busy
	switch {
	case strings.HasPrefix(r.Status, "Rollback"), r.Status == "Failed", strings.HasPrefix(r.Status, "Cancel"):
		style = st.bad
	case r.Status == "Successful":
		style = st.good
	}
	line := style.Render(strings.Repeat("█", full)) + st.dim.Render(strings.Repeat("░", wide-full))
	line += fmt.Sprintf(" %3d %%  %s", r.Percent, style.Render(Printable(r.Status)))
	if r.Reason != "" {
		line += st.dim.Render("  " + Printable(r.Reason))
	}
	return line
}

func nodeRow(n rollout.NodeView, st styles) []cell {
	release := string(n.Version)
	if n.Digest != "" {
		release = strings.TrimSpace(release + " " + n.Digest.Short())
	}
	waits := n.Waits
	if n.Cause != "" {
		waits = n.Cause
	}
	state, target := st.busy, st.busy
	if n.Lifecycle == "InService" {
		state = st.good
	}
	switch n.Target {
	case "healthy":
		target = st.good
	case "unhealthy":
		target = st.bad
	}
	last := st.busy
	if n.Verdict == "bad" {
		state, last = st.bad, st.bad
	}
	plain := lipgloss.NewStyle()
	row := []cell{{n.ID, plain}, {n.Zone, st.dim}, {n.Lifecycle, state}, {n.Target, target}, {release, plain}, {waits, last}}
	for i := range row {
		row[i].text = OrDash(row[i].text)
	}
	return row
}
