package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/wpbake/wpbake/rollout"
)

// picture is a group in the middle of a rollout, as a terminal shows it.
type picture struct {
	title   string
	elapsed time.Duration
	refresh *rollout.RefreshView
	nodes   []rollout.NodeView
}

// see takes an event into the picture and reports whether the event's text
// is worth a line that stays.
func (p *picture) see(e rollout.Event) bool {
	if e.Refresh != nil {
		p.refresh = e.Refresh
	}
	if e.Nodes != nil {
		p.nodes = e.Nodes
	}
	if e.Node != nil {
		p.put(*e.Node)
	}
	return e.Text != "" && e.Kind != "refresh" && e.Kind != "node"
}

func (p *picture) put(n rollout.NodeView) {
	i := slices.IndexFunc(p.nodes, func(known rollout.NodeView) bool { return known.ID == n.ID })
	switch {
	case n.Lifecycle == rollout.Gone && i >= 0:
		p.nodes = slices.Delete(slices.Clone(p.nodes), i, i+1)
	case i >= 0:
		p.nodes[i] = n
	case n.Lifecycle != rollout.Gone:
		p.nodes = append(p.nodes, n)
	}
}

// styles color the words of a picture.
type styles struct{ title, good, bad, busy, dim lipgloss.Style }

func newStyles(r *lipgloss.Renderer) styles {
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return styles{title: r.NewStyle().Bold(true), good: color("2"), bad: color("1"), busy: color("3"), dim: r.NewStyle().Faint(true)}
}

// lines draws the picture for a terminal of this size.
func (p *picture) lines(st styles, columns, rows int) []string {
	out := []string{st.title.Render(printable(p.title)) + "  " + st.dim.Render(strings.TrimSpace(clock(p.elapsed)))}
	if p.refresh != nil {
		out = append(out, p.refreshLine(st))
	}
	table := [][]cell{{{"node", st.dim}, {"zone", st.dim}, {"state", st.dim}, {"target", st.dim}, {"release", st.dim}, {"waits for", st.dim}}}
	shown := p.shown(max(1, rows-around))
	for _, n := range shown {
		table = append(table, nodeRow(n, st))
	}
	if len(shown) > 0 {
		out = append(out, grid(table)...)
	}
	if rest := len(p.nodes) - len(shown); rest > 0 {
		out = append(out, st.dim.Render(fmt.Sprintf("  and %d more", rest)))
	}
	fit := lipgloss.NewStyle().MaxWidth(max(columns, 20)).Inline(true)
	for i := range out {
		out[i] = fit.Render(out[i])
	}
	return out
}

// around is how many lines a picture has beside those of nodes: three above,
// one below, and the one that the cursor stands on.
const around = 5

// shown is at most that many nodes; of more, those that wait come first.
func (p *picture) shown(most int) []rollout.NodeView {
	if len(p.nodes) <= most {
		return p.nodes
	}
	var waiting, still []rollout.NodeView
	for _, n := range p.nodes {
		if n.Waits != "" || n.Verdict == "bad" {
			waiting = append(waiting, n)
		} else {
			still = append(still, n)
		}
	}
	return append(waiting, still...)[:most]
}

func (p *picture) refreshLine(st styles) string {
	r := p.refresh
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
	line += fmt.Sprintf(" %3d %%  %s", r.Percent, style.Render(printable(r.Status)))
	if r.Reason != "" {
		line += st.dim.Render("  " + printable(r.Reason))
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
	return []cell{{n.ID, plain}, {n.Zone, st.dim}, {n.Lifecycle, state}, {n.Target, target}, {release, plain}, {waits, last}}
}

type cell struct {
	text  string
	style lipgloss.Style
}

// grid aligns rows of equal length in columns.
func grid(rows [][]cell) []string {
	wide := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i].text = printable(orDash(row[i].text))
			wide[i] = max(wide[i], lipgloss.Width(row[i].text))
		}
	}
	lines := make([]string, len(rows))
	for r, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString("  " + c.style.Render(c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", wide[i]-lipgloss.Width(c.text)))
			}
		}
		lines[r] = b.String()
	}
	return lines
}
