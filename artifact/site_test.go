package artifact

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// site is a tree in a test, and what is in its files.
type site struct {
	t     *testing.T
	dir   string
	files map[string]string
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, files: map[string]string{}}
	s.write("index.php", "<?php")
	s.write("wp-content/large.bin", strings.Repeat("x", 9<<19))
	for i := range 20 {
		s.write(fmt.Sprintf("wp-content/plugins/p%d/p.php", i), strings.Repeat(fmt.Sprint(i), 25_000))
	}
	return s
}

func (s *site) write(name, content string) {
	s.t.Helper()
	full := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.files[name] = content
}

func (s *site) change(rt *rapid.T) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(s.files))).Draw(rt, "file")
	full := filepath.Join(s.dir, name)
	switch rapid.SampledFrom([]string{"longer", "same size and time", "new", "gone", "touched", "none"}).Draw(rt, "change") {
	case "longer":
		s.write(name, s.files[name]+rapid.StringN(1, 2000, -1).Draw(rt, "more"))
	case "same size and time": // only the kernel's own time tells
		info, err := os.Stat(full)
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(name, strings.Repeat(rapid.StringMatching("[a-z]").Draw(rt, "letter"), len(s.files[name])))
		if err := os.Chtimes(full, info.ModTime(), info.ModTime()); err != nil {
			s.t.Fatal(err)
		}
	case "new":
		s.write(fmt.Sprintf("new/%d.php", len(s.files)), rapid.String().Draw(rt, "content"))
	case "gone":
		delete(s.files, name)
		if err := os.Remove(full); err != nil {
			s.t.Fatal(err)
		}
	case "touched":
		if err := os.Chtimes(full, time.Time{}, time.Unix(1e9, 0)); err != nil {
			s.t.Fatal(err)
		}
	}
}
