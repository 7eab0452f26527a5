package cli

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/rollout"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain – ünï 日本": "plain – ünï 日本",
		"a\x1b[2Jb":      `a\x1b[2Jb`,
		"two\nlines":     `two\nlines`,
		"tab\tbed":       "tab bed",
		"\u202eevil":     `\u202eevil`,
		"c1 \u009b31m":   `c1 \u009b31m`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

// Programs read how a command ended from the last line of stdout.
func TestReportIsJSONOnTheLastLine(t *testing.T) {
	var out, errs strings.Builder
	o := &Output{Stdout: &out, Stderr: &errs}
	if got := o.End(&rollout.Interrupted{Run: "r", Touched: true}, []string{"x", "--json"}); got != ExitPerson {
		t.Errorf("exit code %d", got)
	}
	if !strings.HasPrefix(out.String(), `{"error":"stopped watching run r`) || !strings.Contains(out.String(), `"exit":4}`) {
		t.Errorf("stdout %q", out.String())
	}
	if !strings.Contains(errs.String(), "wpbake: hint: wpbake watch") {
		t.Errorf("stderr %q", errs.String())
	}
}
