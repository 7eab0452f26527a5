package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

func TestMeter(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	m := NewMeter(&Output{Stderr: &out, Now: func() time.Time { now = now.Add(time.Second); return now }})
	for _, p := range []artifact.Progress{{Stage: "building", Total: 3 << 20}, {Stage: "building", Done: 3 << 20, Total: 3 << 20}, {Stage: "building", Done: 3 << 20, Total: 3 << 20}, {Stage: "publishing", Done: 5, Total: 10}} {
		m.Update(p)
	}
	m.Close()
	if got, want := out.String(), "building: 3.0 MiB in 1.0s\n"; got != want {
		t.Errorf("meter wrote %q, want %q", got, want)
	}
}
