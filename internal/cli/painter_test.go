package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/rollout"
)

// The painter replaces its own lines and lets others scroll away above them.
func TestPainter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newPainter(&Output{Stderr: &out, Now: time.Now}, "v2 → shop")
		p.emit(rollout.Event{Kind: "step", Text: "template version 5"})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		p.emit(rollout.Event{Kind: "refresh", Text: "not a line of its own", Refresh: &rollout.RefreshView{Status: "InProgress", Percent: 50}})
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
