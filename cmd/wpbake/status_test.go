package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

const testDigest = artifact.Digest("sha256:1a2b3c4d5e6f0000000000000000000000000000000000000000000000000000")

func TestStatusList(t *testing.T) {
	saved := []rollout.TemplateRef{{ID: "lt-1", Version: "5"}}
	for _, tt := range []struct {
		name string
		st   rollout.Status
		want string
	}{
		{"no release yet", rollout.Status{Group: "shop", Desired: 1, Saved: saved}, `
group     shop, 1 node desired
saved     no release of wpbake, template lt-1:5
proof     nothing to prove
`},
		{"proven", rollout.Status{Group: "shop", Desired: 2, Version: "v2", Manifest: testDigest, Saved: saved, Proven: true, Releases: []rollout.ProvenRelease{
			{Version: "v2"}, {Version: "v1", Withdrawn: time.Unix(1, 0)},
		}}, `
group     shop, 2 nodes desired
saved     v2 1a2b3c4d5e6f, template lt-1:5
proof     every node proven
proven    v2, v1 (withdrawn)
`},
		{"under way", rollout.Status{
			Group: "shop", Desired: 2, Version: "v2", Manifest: testDigest, Missing: []string{"i-1 has not reported", "i-2 serves v1"}, Foreign: true,
			Refresh: &rollout.RefreshView{ID: "08b9", Status: "InProgress", Percent: 50},
			Lock:    &rollout.Lock{Kind: rollout.Release, Version: "v3", Run: "r1", Holder: owner.Holder{Name: "ada@foreman"}},
		}, `
group     shop, 2 nodes desired
saved     v2 1a2b3c4d5e6f
proof     not proven: i-1 has not reported; i-2 serves v1
refresh   08b9 InProgress, 50 %, not started by wpbake
run       release of v3, r1, by ada@foreman
`},
	} {
		out, got := recorder()
		out.List(statusList(tt.st))
		if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A node's worst news is what it shows.
func TestNodeTable(t *testing.T) {
	rows := nodeTable([]rollout.NodeView{
		{ID: "i-1", Lifecycle: "InService", Digest: testDigest, Waits: "warm-up", Cause: "no first page", Note: "no volume"},
		{ID: "i-2", Waits: "warm-up", Note: "no volume"},
		{ID: "i-3", Note: "no volume"},
	})
	var last []string
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			t.Errorf("row %q", row)
		}
		last = append(last, row[len(row)-1])
	}
	if diff := cmp.Diff([]string{"WAITS FOR", "no first page", "warm-up", "no volume"}, last); diff != "" {
		t.Errorf("last column (-want +got):\n%s", diff)
	}
}

func TestRecordTable(t *testing.T) {
	start := time.Date(2026, 11, 26, 5, 0, 0, 0, time.FixedZone("", 3600))
	got := recordTable([]rollout.Record{
		{Run: "r2", Kind: rollout.Release, Version: "v2", Manifest: testDigest, Started: start, Holder: owner.Holder{Name: "ci", Link: "https://ci.example/7"}},
		{Run: "r1", Kind: rollout.Rollback, Version: "v1", Started: start, Ended: start.Add(90 * time.Second), Outcome: rollout.RolledBack, Cause: "alarm", Holder: owner.Holder{Name: "ada"}},
	})
	want := [][]string{
		{"STARTED", "RUN", "KIND", "VERSION", "DIGEST", "OUTCOME", "TOOK", "BY", "CAUSE"},
		{"2026-11-26 04:00:00", "r2", "release", "v2", "1a2b3c4d5e6f", "unfinished", "", "https://ci.example/7", ""},
		{"2026-11-26 04:00:00", "r1", "rollback", "v1", "", string(rollout.RolledBack), "1m30s", "ada", "alarm"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}
