package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/rollout"
)

// ticking is a clock that goes on by a second each time it is looked at.
func ticking() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time { now = now.Add(time.Second); return now }
}

func TestRunViewWritesLinesAndTakesTimes(t *testing.T) {
	var errs strings.Builder
	v := NewRunView(&Output{Stderr: &errs, Now: ticking()}, "v2 → shop")
	v.Lap("preflight")
	for _, e := range []rollout.Event{
		{Kind: "step", Step: rollout.StepRefresh, Text: "instance refresh 08b9 started"},
		{Kind: "refresh"},
		{Kind: "step", Step: rollout.StepProven, Text: "proven\x1b[2J"},
	} {
		v.Emit(e)
	}
	v.Close()
	v.Close()
	want := "  0:01  instance refresh 08b9 started\n  0:03  proven\\x1b[2J\n"
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	var names []string
	for _, one := range v.Timings {
		names = append(names, one.Name)
	}
	if diff := cmp.Diff([]string{"preflight", "start", "proof"}, names); diff != "" {
		t.Errorf("timings (-want +got):\n%s", diff)
	}
}

func TestRunViewForPrograms(t *testing.T) {
	var out, errs strings.Builder
	v := NewRunView(&Output{Stdout: &out, Stderr: &errs, Now: ticking(), JSON: true}, "v2 → shop")
	v.Emit(rollout.Event{Kind: "step", Step: rollout.StepRefresh, Text: "instance refresh <08b9> started"})
	v.Close()
	if !strings.Contains(out.String(), `"instance refresh <08b9> started"`) || strings.Count(out.String(), "\n") != 1 || errs.Len() > 0 {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
}

func TestTimings(t *testing.T) {
	got := Timings{{"build", 0.25}, {"refresh", 184.6}}.String()
	if want := "build 0.2s, refresh 3m5s"; got != want {
		t.Errorf("timings %q, want %q", got, want)
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		Size(0): "0 B", Size(1023): "1023 B", Size(1536): "1.5 KiB", Size(3 << 30): "3.0 GiB", Size(5 << 50): "5120.0 TiB",
		Brief(2 * time.Hour): "2h", Brief(90 * time.Second): "1m30s", Brief(48*time.Hour + time.Minute): "48h1m", Brief(0): "0s",
		Elapsed(1530 * time.Millisecond): "1.5s", Elapsed(61400 * time.Millisecond): "1m1s",
		Count(1, "node"): "1 node", Count(0, "file"): "0 files",
		clock(-time.Second): "  0:00", clock(125 * time.Minute): "125:00",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Progress is for people: programs and those who want quiet get none.
func TestOutputForWhom(t *testing.T) {
	for name, tt := range map[string]struct {
		o           Output
		out, stderr string
	}{
		"people":   {Output{}, "an answer\n", "progress\n"},
		"quiet":    {Output{Quiet: true}, "an answer\n", ""},
		"programs": {Output{JSON: true}, `{"a":"<1>"}` + "\n", ""},
	} {
		var out, errs strings.Builder
		o := tt.o
		o.Stdout, o.Stderr = &out, &errs
		o.Note("progress")
		o.Say("an answer")
		if err := o.Object(map[string]string{"a": "<1>"}); err != nil {
			t.Error(err)
		}
		if out.String() != tt.out || errs.String() != tt.stderr {
			t.Errorf("%s: stdout %q, stderr %q", name, out.String(), errs.String())
		}
	}
}
