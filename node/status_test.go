package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/node/disk"
)

func TestStatus(t *testing.T) {
	f := newFixture(t)
	root := f.options.Config.Root
	if _, err := Status(t.Context(), StatusOptions{Root: root}); err == nil {
		t.Error("a node where there is none")
	}
	f.boot()
	yes, no := true, false
	d := f.options.Manifest
	status := func(deep bool) State {
		t.Helper()
		s, err := Status(t.Context(), StatusOptions{Root: root, Deep: deep})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := State{
		Root: root, Current: d.Short(), Version: "v42", Manifest: d, Releases: []string{d.Short()},
		Boots: []disk.Booted{{Version: "v42", Manifest: d, Instance: "i-0123456789abcdef0", Group: "shop", Run: testRun, At: f.stored().Finished}},
	}
	if diff := cmp.Diff(want, status(false)); diff != "" {
		t.Error(diff)
	}
	want.Verified = &yes
	if diff := cmp.Diff(want, status(true)); diff != "" {
		t.Error(diff)
	}

	if err := os.WriteFile(filepath.Join(root, "current", "wordpress", "shell.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := status(true); s.Problem == "" || cmp.Diff(&no, s.Verified) != "" {
		t.Errorf("a web shell went unseen: %+v", s)
	}
	manifest := filepath.Join(root, "current", ".wpbake", "manifest.json")
	if err := os.Rename(manifest, manifest+".moved"); err != nil {
		t.Fatal(err)
	}
	if s := status(false); s.Problem != "its manifest is missing" || s.Version != "" {
		t.Errorf("state %+v", s)
	}
	if err := os.Rename(manifest+".moved", manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "releases", d.Short()), filepath.Join(root, "releases", "0123456789ab")); err != nil {
		t.Fatal(err)
	}
	if s := status(false); s.Problem != "its directory is missing" {
		t.Errorf("state %+v", s)
	}
	link := filepath.Join(root, "current")
	if err := errors.Join(os.Remove(link), os.Symlink("releases/0123456789ab", link)); err != nil {
		t.Fatal(err)
	}
	if s := status(true); s.Problem != "its manifest is that of "+d.Short() {
		t.Errorf("state %+v", s)
	}
}
