package build

import (
	"bytes"
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact/artifacttest"
)

// What a Describer noted it is told at the next build, with the files that are
// as they were; under another name, or when stamps tell nothing, it is told of
// no file.
func TestDescriberIsToldOfTheBuildBefore(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := Options{Out: t.TempDir(), Cache: t.TempDir()}
	var told Remembered
	var seen map[string]bool
	build := func(name string, notes []byte, later time.Duration) {
		told, seen = Remembered{}, map[string]bool{}
		o.Describe = &Describer{Name: name, Describe: func(_ context.Context, _ fs.FS, then Remembered) (Description, error) {
			told = then
			for _, p := range []string{"index.php", "wp-content/large.bin", "wp-content/plugins/p1/p.php", "wp-content", "new.php", "none.php"} {
				seen[p] = then.Unchanged != nil && then.Unchanged(p)
			}
			return Description{Notes: notes}, nil
		}}
		buildSite(s, o, later)
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
