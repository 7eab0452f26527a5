package build

import (
	"bytes"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact/artifacttest"
)

// What a build noted is told at the next under the same key, with the files that
// are as they were; under another key, or when stamps tell nothing, no file is.
func TestNextBuildIsToldOfTheOneBefore(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := Options{Tree: s.Dir, Out: t.TempDir(), Cache: t.TempDir(), Version: "v1"}
	var told Known
	var seen map[string]bool
	build := func(key string, notes []byte, later time.Duration) {
		t.Helper()
		b, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.now = func() time.Time { return time.Now().Add(later) }
		scanned, err := b.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told, seen = b.Known(scanned, key), map[string]bool{}
		for _, p := range []string{"index.php", "wp-content/large.bin", "wp-content/plugins/p1/p.php", "wp-content", "new.php", "none.php"} {
			seen[p] = told.Unchanged != nil && told.Unchanged(p)
		}
		if _, changed, err := b.Pack(t.Context(), Work{Scanned: scanned, Laid: scanned, Key: key, Notes: notes}, Folder(o.Out)); changed != nil || err != nil {
			t.Fatal(changed, err)
		}
	}
	expect := func(when string, notes string, want map[string]bool) {
		t.Helper()
		if string(told.Notes) != notes {
			t.Errorf("%s: notes are %.20q, want %.20q", when, told.Notes, notes)
		}
		for p, is := range seen {
			if is != want[p] {
				t.Errorf("%s: %q unchanged is %v", when, p, is)
			}
		}
	}
	build("a", []byte("one\x00"), time.Minute)
	expect("at first", "", nil)
	s.Write("index.php", "<?php // changed")
	s.Write("new.php", "<?php")
	build("a", []byte("two"), 0)
	expect("one file changed", "one\x00", map[string]bool{"wp-content/large.bin": true, "wp-content/plugins/p1/p.php": true})
	s.Write("new.php", "<?php // 2")
	build("a", []byte("three"), time.Minute)
	expect("young stamps", "two", nil)
	s.Write("new.php", "<?php // 3")
	build("b", bytes.Repeat([]byte{'n'}, maxNotes+1), time.Minute)
	expect("another name", "", nil)
	s.Write("new.php", "<?php // 4")
	build("b", nil, time.Minute)
	expect("too many notes", "", map[string]bool{"index.php": true, "wp-content/large.bin": true, "wp-content/plugins/p1/p.php": true})
	build("", []byte("x"), time.Minute)
	s.Write("new.php", "<?php // 5")
	build("", []byte("x"), time.Minute)
	expect("no name", "", nil)
}
