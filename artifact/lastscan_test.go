package artifact

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A tree is changed in all ways, names that are left out among them; a scan that
// knows the one before finds what a scan that knows nothing finds.
func TestScanAgainFindsTheSame(t *testing.T) {
	exclude, err := newExcluder(DefaultExclude())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := newSite(t)
		s.write("wp-content/uploads/a.jpg", "x")
		s.write(".git/HEAD", "x")
		root, err := openTree(s.dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer root.close()
		var then *scanned
		for range rapid.IntRange(2, 4).Draw(rt, "scans") {
			got, err := scan(t.Context(), root, exclude, then)
			if err != nil {
				rt.Fatal(err)
			}
			want, err := scan(t.Context(), root, exclude, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("got %d entries and %q left out, want %d and %q", len(got.entries), got.left, len(want.entries), want.left)
			}
			if len(got.left) != 2 || !got.same(&want) {
				rt.Fatalf("left out: %q", got.left)
			}
			then = &got
			s.change(rt)
			switch rapid.SampledFrom([]string{"none", "directory moved", "file becomes directory", "left out"}).Draw(rt, "more") {
			case "directory moved":
				rename(rt, s, "wp-content/plugins/p3", "wp-content/plugins/q")
			case "file becomes directory":
				if os.Remove(filepath.Join(s.dir, "wp-content/plugins/p4/p.php")) == nil {
					s.write("wp-content/plugins/p4/p.php/x", "x")
					delete(s.files, "wp-content/plugins/p4/p.php")
				}
			case "left out":
				s.write("wp-content/uploads/"+rapid.StringN(1, 3, 9).Filter(oneName).Draw(rt, "name"), "x")
			}
		}
	})
}

func oneName(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && badName(name) == ""
}

func rename(rt *rapid.T, s *site, from, to string) {
	if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil && !os.IsNotExist(err) {
		rt.Fatal(err)
	}
	delete(s.files, from+"/p.php")
}

// Names are taken from the last scan, not listed anew, where a directory looks
// as it did.
func TestScanAgainListsNothing(t *testing.T) {
	s := newSite(t)
	root, err := openTree(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	first, err := scan(t.Context(), root, excluder{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := first.entries[:0:0]
	for _, f := range first.entries {
		if f.path != "index.php" {
			kept = append(kept, f)
		}
	}
	first.entries = kept
	again, err := scan(t.Context(), root, excluder{}, &first)
	if err != nil || len(again.entries) != len(kept) {
		t.Fatalf("%d entries, %v: the root was listed", len(again.entries), err)
	}
	s.write("new.php", "x")
	if err := os.Chtimes(s.dir, time.Time{}, time.Unix(epoch, 0)); err != nil { // writes within a tick look like one
		t.Fatal(err)
	}
	again, err = scan(t.Context(), root, excluder{}, &first)
	if err != nil || len(again.entries) != len(kept)+2 {
		t.Fatalf("%d entries, %v: want index.php and new.php besides %d", len(again.entries), err, len(kept))
	}
}
