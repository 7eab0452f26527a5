package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
)

func TestRoots(t *testing.T) {
	ctx := t.Context()
	store, err := dirstore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(group, name string, v any) {
		t.Helper()
		d := documents{store: store, group: group}
		if _, err := d.write(ctx, d.prefix()+name, v, artifact.Condition{Absent: true}); err != nil {
			t.Fatal(err)
		}
	}
	var p Proven
	for i := range 5 {
		v := artifact.Version(fmt.Sprintf("v%d", 5-i))
		r := ProvenRelease{Version: v, Manifest: artifact.Digest("sha256:" + v), Templates: []TemplateRef{{ID: "lt-1", Version: string(v[1:])}}}
		if v == "v4" {
			r.Withdrawn = time.Now()
		}
		p.Releases = append(p.Releases, r)
	}
	put("a/b", "proven.json", p)
	put("a/b", "lock.json", Lock{Run: "r1", Kind: Release, Version: "v5", Manifest: "sha256:v5"})
	put("a/b", "r1/record.json", Record{Run: "r1", Outcome: Released})
	put("open", "lock.json", Lock{Run: "r2", Kind: Release, Version: "v7", Manifest: "sha256:v7"})
	put("open", "r2/record.json", Record{
		Run: "r2", Base: []TemplateRef{{ID: "lt-2", Version: "1"}}, Templates: []TemplateRef{{ID: "lt-2", Version: "2"}},
		Image: "ami-1", Volume: &Volume{Snapshot: "snap-1"},
	})
	put("ending", "lock.json", Lock{Run: "r3", Kind: Rollback, Version: "v1", Manifest: "sha256:v1", Expires: time.Now().Add(time.Hour)})
	put("ending", "r3/record.json", Record{Run: "r3", Outcome: Released})
	put("beginning", "lock.json", Lock{Run: "r4", Kind: Release, Version: "v9", Manifest: "sha256:v9", Expires: time.Now().Add(-time.Hour)})
	roots, err := Roots(ctx, store, 2)
	if err != nil {
		t.Fatal(err)
	}
	back := func(v string) Root {
		return Root{Group: "a/b", Why: `group "a/b" can go back to v` + v, Manifest: artifact.Digest("sha256:v" + v), Templates: []TemplateRef{{ID: "lt-1", Version: v}}}
	}
	want := []Root{
		back("5"), back("3"), back("2"),
		{Group: "beginning", Why: `the release of v9 to group "beginning" is not finished (run r4)`, Manifest: "sha256:v9"},
		{Group: "ending", Why: `the rollback of v1 to group "ending" is not finished (run r3)`, Manifest: "sha256:v1"},
		{
			Group: "open", Why: `the release of v7 to group "open" is not finished (run r2)`, Manifest: "sha256:v7",
			Templates: []TemplateRef{{ID: "lt-2", Version: "1"}, {ID: "lt-2", Version: "2"}}, Image: "ami-1", Snapshot: "snap-1",
		},
	}
	if diff := cmp.Diff(want, roots); diff != "" {
		t.Error(diff)
	}
	// What cannot be read may name anything.
	put("garbled", "proven.json", []string{"x"})
	if _, err := Roots(ctx, store, 2); err == nil {
		t.Error("a garbled list of proven releases was passed over")
	}
}
