package cli

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/rollout"
)

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
