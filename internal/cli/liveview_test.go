package cli

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestLiveView(t *testing.T) {
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
	v := liveView{title: "v2 → shop"}
	var got strings.Builder
	for _, e := range events {
		stays := v.see(e)
		v.elapsed += 21 * time.Second
		got.WriteString("-- " + e.Kind)
		if stays {
			got.WriteString(", its text stays")
		}
		got.WriteString("\n" + strings.Join(v.lines(newStyles(lipgloss.NewRenderer(&got)), 110, 24), "\n") + "\n")
	}
	golden := filepath.Join("testdata", "liveview.golden")
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
		t.Errorf("live view (-want +got):\n%s", diff)
	}
}

// A large group is cut to the nodes that something happens to.
func TestLiveViewOfALargeGroup(t *testing.T) {
	var v liveView
	for i := range 100 {
		v.nodes = append(v.nodes, rollout.NodeView{ID: fmt.Sprintf("i-%03d", i), Lifecycle: "InService"})
	}
	v.nodes[77].Waits = "boot"
	lines := v.lines(newStyles(lipgloss.NewRenderer(io.Discard)), 80, 24)
	if len(lines) != 24-2 || !strings.Contains(lines[2], "i-077") || !strings.Contains(lines[len(lines)-1], "and 81 more") {
		t.Errorf("live view:\n%s", strings.Join(lines, "\n"))
	}
	for _, l := range lines {
		if lipgloss.Width(l) > 80 {
			t.Errorf("line of %d columns", lipgloss.Width(l))
		}
	}
}
