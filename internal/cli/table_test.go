package cli

import (
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"
)

// Programs such as grep read one row a line, whatever it holds.
func TestTableIsPlainOffTheTerminal(t *testing.T) {
	var out strings.Builder
	o := &Output{Stdout: &out}
	cause := strings.Repeat("PHP Parse error ", 20) + "\x1b[2J\nend"
	o.Table([][]string{{"NODE", "STATE", "CAUSE"}, {"i-1", "", cause}, {"i-0123", "InService", ""}})
	o.List(List{{"group", "shop"}, {"", "and more"}, {"bootstrapped", "yes"}})
	want := "NODE    STATE      CAUSE\n" +
		"i-1     -          " + strings.Repeat("PHP Parse error ", 20) + `\x1b[2J\nend` + "\n" +
		"i-0123  InService  -\n" +
		"group         shop\n" +
		"              and more\n" +
		"bootstrapped  yes\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	out.Reset()
	o.Table(nil)
	(&Output{Stdout: &out, JSON: true}).List(List{{"group", "shop"}})
	if out.Len() > 0 {
		t.Errorf("written: %q", out.String())
	}
}

func TestGridFitsTheTerminal(t *testing.T) {
	row := func(texts ...string) (cells []cell) {
		for _, text := range texts {
			cells = append(cells, cell{text: text})
		}
		return cells
	}
	rows := [][]cell{row("NODE", "CAUSE"), row("i-0123456789", "the first page answers 500: see the log of PHP"), row("i-1", "-")}
	want := []string{
		"NODE          CAUSE",
		"i-0123456789  the first page answers",
		"              500: see the log of PHP",
		"i-1           -",
	}
	if diff := cmp.Diff(want, grid(rows, 37)); diff != "" {
		t.Errorf("37 columns (-want +got):\n%s", diff)
	}
	for _, width := range []int{12, 20, 33, 34, 80, 200} {
		for _, line := range grid(rows, width) {
			if lipgloss.Width(line) > width {
				t.Errorf("%d columns hold %q", width, line)
			}
		}
	}
}
