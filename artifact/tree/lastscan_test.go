package tree

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"pgregory.net/rapid"
)

// A tree is changed in all ways, names that are left out among them; a scan that
// knows the one before finds what a scan that knows nothing finds.
func TestScanAgainFindsTheSame(t *testing.T) {
	exclude, err := ParseExcludes(DefaultExcludes())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := artifacttest.NewSite(t)
		s.Write("wp-content/uploads/a.jpg", "x")
		s.Write(".git/HEAD", "x")
		root, err := OpenDir(s.Dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer root.Close()
		var then *Listing
		for range rapid.IntRange(2, 4).Draw(rt, "scans") {
			got, err := Scan(t.Context(), root, exclude, then)
			if err != nil {
				rt.Fatal(err)
			}
			want, err := Scan(t.Context(), root, exclude, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("got %d entries and %q left out, want %d and %q", len(got.Entries), got.Excluded, len(want.Entries), want.Excluded)
			}
			if len(got.Excluded) != 2 || !got.Same(&want) {
				rt.Fatalf("left out: %q", got.Excluded)
			}
			then = &got
			s.Change(rt)
			switch rapid.SampledFrom([]string{"none", "directory moved", "file becomes directory", "left out"}).Draw(rt, "more") {
			case "directory moved":
				rename(rt, s, "wp-content/plugins/p3", "wp-content/plugins/q")
			case "file becomes directory":
				if os.Remove(filepath.Join(s.Dir, "wp-content/plugins/p4/p.php")) == nil {
					s.Write("wp-content/plugins/p4/p.php/x", "x")
					delete(s.Files, "wp-content/plugins/p4/p.php")
				}
			case "left out":
				s.Write("wp-content/uploads/"+rapid.StringN(1, 3, 9).Filter(oneName).Draw(rt, "name"), "x")
			}
		}
	})
}

func oneName(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && artifact.BadName(name) == ""
}

func rename(rt *rapid.T, s *artifacttest.Site, from, to string) {
	if err := os.Rename(filepath.Join(s.Dir, from), filepath.Join(s.Dir, to)); err != nil && !os.IsNotExist(err) {
		rt.Fatal(err)
	}
	delete(s.Files, from+"/p.php")
}

// Names are taken from the last scan, not listed anew, where a directory looks
// as it did.
func TestScanAgainListsNothing(t *testing.T) {
	s := artifacttest.NewSite(t)
	root, err := OpenDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	first, err := Scan(t.Context(), root, Excludes{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := first.Entries[:0:0]
	for _, f := range first.Entries {
		if f.Path != "index.php" {
			kept = append(kept, f)
		}
	}
	first.Entries = kept
	again, err := Scan(t.Context(), root, Excludes{}, &first)
	if err != nil || len(again.Entries) != len(kept) {
		t.Fatalf("%d entries, %v: the root was listed", len(again.Entries), err)
	}
	s.Write("new.php", "x")
	if err := os.Chtimes(s.Dir, time.Time{}, time.Unix(artifact.Epoch, 0)); err != nil { // writes within a tick look like one
		t.Fatal(err)
	}
	again, err = Scan(t.Context(), root, Excludes{}, &first)
	if err != nil || len(again.Entries) != len(kept)+2 {
		t.Fatalf("%d entries, %v: want index.php and new.php besides %d", len(again.Entries), err, len(kept))
	}
}
