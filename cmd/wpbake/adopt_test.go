package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

// Nothing but a clear yes changes a group.
func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES": true, " yes \nno\n": true, "": false, "\n": false, "no\n": false, "yess\n": false} {
		var errs strings.Builder
		q := confirmation{question: "change group shop\x1b[2J?", answers: strings.NewReader(answer), out: &cli.Output{Stderr: &errs}}
		err := q.confirm()
		if (err == nil) != want || err != nil && cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("answer %q: %v", answer, err)
		}
		if got, want := errs.String(), `change group shop\x1b[2J? [y/N] `+"\n"; got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
	if err := (confirmation{yes: true}).confirm(); err != nil {
		t.Errorf("answered beforehand: %v", err)
	}
}

func TestSayFindings(t *testing.T) {
	out, got := recorder()
	blocking := sayFindings(out, []rollout.Finding{
		{ID: "template/floating", Text: "the group follows $Latest", Fix: "wpbake adopt", Blocks: true},
		{ID: "alarms/none", Text: "no alarm watches"},
	})
	want := "blocks    template/floating: the group follows $Latest\n          fix: wpbake adopt\nnote      alarms/none: no alarm watches\n"
	if diff := cmp.Diff(want, got.String()); diff != "" || blocking != 1 {
		t.Errorf("%d block (-want +got):\n%s", blocking, diff)
	}
}

// A group that was rolled back is what a rollback asks for only if it led where
// the operator said.
func TestAsked(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    rollout.Result
		to   artifact.Version
		want bool
	}{
		{"a release turned back", rollout.Result{Outcome: rollout.RolledBack, Kind: rollout.Release, Serving: "v1"}, "", true},
		{"to the version named", rollout.Result{Outcome: rollout.RolledBack, Kind: rollout.Release, Serving: "v1"}, "v1", true},
		{"to another one", rollout.Result{Outcome: rollout.RolledBack, Kind: rollout.Release, Serving: "v1"}, "v0", false},
		{"a rollback that was bad", rollout.Result{Outcome: rollout.RolledBack, Kind: rollout.Rollback, Serving: "v2"}, "", false},
		{"not proven", rollout.Result{Outcome: rollout.Unproven, Kind: rollout.Release, Serving: "v1"}, "v1", false},
	} {
		if got := asked(tt.r, tt.to); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
