package artifacttest

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

// Site is a tree in a test, and what is in its files.
type Site struct {
	T     *testing.T
	Dir   string
	Files map[string]string
}

// NewSite makes a site of some twenty files.
func NewSite(t *testing.T) *Site {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{T: t, Dir: dir, Files: map[string]string{}}
	s.Write("index.php", "<?php")
	s.Write("wp-content/large.bin", strings.Repeat("x", 9<<19))
	for i := range 20 {
		s.Write(fmt.Sprintf("wp-content/plugins/p%d/p.php", i), strings.Repeat(fmt.Sprint(i), 25_000))
	}
	return s
}

// Write writes a file and the directories above it.
func (s *Site) Write(name, content string) {
	s.T.Helper()
	full := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		s.T.Fatal(err)
	}
	s.Files[name] = content
}

// Change changes the site in one way that is drawn.
func (s *Site) Change(rt *rapid.T) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(s.Files))).Draw(rt, "file")
	full := filepath.Join(s.Dir, name)
	switch rapid.SampledFrom([]string{"longer", "same size and time", "new", "gone", "touched", "none"}).Draw(rt, "change") {
	case "longer":
		s.Write(name, s.Files[name]+rapid.StringN(1, 2000, -1).Draw(rt, "more"))
	case "same size and time": // only the kernel's own time tells
		info, err := os.Stat(full)
		if err != nil {
			s.T.Fatal(err)
		}
		s.Write(name, strings.Repeat(rapid.StringMatching("[a-z]").Draw(rt, "letter"), len(s.Files[name])))
		if err := os.Chtimes(full, info.ModTime(), info.ModTime()); err != nil {
			s.T.Fatal(err)
		}
	case "new":
		s.Write(fmt.Sprintf("new/%d.php", len(s.Files)), rapid.String().Draw(rt, "content"))
	case "gone":
		delete(s.Files, name)
		if err := os.Remove(full); err != nil {
			s.T.Fatal(err)
		}
	case "touched":
		if err := os.Chtimes(full, time.Time{}, time.Unix(1e9, 0)); err != nil {
			s.T.Fatal(err)
		}
	}
}
