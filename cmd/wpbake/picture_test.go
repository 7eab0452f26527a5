package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestPicture(t *testing.T) {
	digest := artifact.Digest("sha256:1a2b3c4d5e6f" + strings.Repeat("0", 52))
	events := []rollout.Event{
		{Kind: "step", Step: rollout.StepRefresh, Text: "instance refresh 08b9 started"},
		{Kind: "refresh", Refresh: &rollout.RefreshView{ID: "08b9", Status: "InProgress", Percent: 33, Remaining: 2}, Nodes: []rollout.NodeView{
			{ID: "i-01", Zone: "eu-central-1a", Lifecycle: "InService", Target: "healthy", Template: "4", Version: "v1", Digest: digest},
			{ID: "i-02", Zone: "eu-central-1b", Lifecycle: "Pending:Wait", Template: "5", Version: "v2", Waits: "boot"},
		}},
		{Kind: "node", Node: &rollout.NodeView{ID: "i-02", Zone: "eu-central-1b", Lifecycle: "Pending:Wait", Template: "5", Version: "v2", Verdict: "bad",
			Cause: "PHP Parse error: \x1b[31msyntax error in cart.php on line 3"}},
	}
	p := picture{title: "v2 → shop"}
	var got strings.Builder
	for _, e := range events {
		stays := p.see(e)
		p.elapsed += 21 * time.Second
		got.WriteString("-- " + e.Kind)
		if stays {
			got.WriteString(", its text stays")
		}
		got.WriteString("\n" + strings.Join(p.lines(newStyles(lipgloss.NewRenderer(&got)), 110, 24), "\n") + "\n")
	}
	golden := filepath.Join("testdata", "picture.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("picture (-want +got):\n%s", diff)
	}
}

// A large group is cut to the nodes that something happens to.
func TestPictureOfALargeGroup(t *testing.T) {
	var p picture
	for i := range 100 {
		p.nodes = append(p.nodes, rollout.NodeView{ID: fmt.Sprintf("i-%03d", i), Lifecycle: "InService"})
	}
	p.nodes[77].Waits = "boot"
	lines := p.lines(newStyles(lipgloss.NewRenderer(io.Discard)), 80, 24)
	if len(lines) != 24-2 || !strings.Contains(lines[2], "i-077") || !strings.Contains(lines[len(lines)-1], "and 81 more") {
		t.Errorf("picture:\n%s", strings.Join(lines, "\n"))
	}
	for _, l := range lines {
		if lipgloss.Width(l) > 80 {
			t.Errorf("line of %d columns", lipgloss.Width(l))
		}
	}
}

func TestMeter(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	c := &cli{App: App{Stderr: &out, Env: func(string) (string, bool) { return "", false }, Now: func() time.Time { now = now.Add(time.Second); return now }}}
	m := c.meter()
	for _, p := range []artifact.Progress{{Stage: "building", Total: 3 << 20}, {Stage: "building", Done: 3 << 20, Total: 3 << 20}, {Stage: "building", Done: 3 << 20, Total: 3 << 20}, {Stage: "publishing", Done: 5, Total: 10}} {
		m.update(p)
	}
	m.close()
	if got, want := out.String(), "building: 3.0 MiB in 1.0s\n"; got != want {
		t.Errorf("meter wrote %q, want %q", got, want)
	}
}

// The painter replaces its own lines and lets others scroll away above them.
func TestPainter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := &cli{App: App{Stderr: &out, Env: func(string) (string, bool) { return "", false }, Now: time.Now}}
		p := newPainter(c, "v2 → shop")
		p.tell(rollout.Event{Kind: "step", Text: "template version 5"})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		p.tell(rollout.Event{Kind: "refresh", Text: "not a line of its own", Refresh: &rollout.RefreshView{Status: "InProgress", Percent: 50}})
		p.close()
		want := "\r\x1b[J  0:00  template version 5\nv2 → shop  0:00\n" +
			"\x1b[1A\r\x1b[Jv2 → shop  0:01\n" +
			"\x1b[1A\r\x1b[Jv2 → shop  0:01\n██████████░░░░░░░░░░  50 %  InProgress\n" +
			"\x1b[2A\r\x1b[Jv2 → shop  0:01\n██████████░░░░░░░░░░  50 %  InProgress\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("painted (-want +got):\n%s", diff)
		}
	})
}
