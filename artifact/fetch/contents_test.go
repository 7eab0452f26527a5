package fetch_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// Some files of a release are read without the others, and are what they were.
func TestExtract(t *testing.T) {
	tree := t.TempDir()
	large := strings.Repeat("0123456789abcdef", 400_000) // over several frames
	contents := map[string]string{"a/app.1.css": "body{}", "a/empty.js": "", "b/large.js": large, "index.php": "<?php"}
	for name, content := range contents {
		file := filepath.Join(tree, name)
		artifacttest.Must(t, errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)))
	}
	dir := t.TempDir()
	b := buildtest.Build(t, build.Options{Tree: tree, Out: dir})
	s := buildtest.Store(t, dir)
	files, err := fetch.Files(t.Context(), s, b.Manifest)
	artifacttest.Must(t, err)
	if len(files) != len(contents) {
		t.Fatalf("%v", files)
	}
	var wanted []artifact.File
	for _, f := range files {
		if f.Size != int64(len(contents[f.Path])) || f.Digest != artifact.DigestOf([]byte(contents[f.Path])) {
			t.Errorf("%+v", f)
		}
		if f.Path != "index.php" {
			wanted = append(wanted, f)
		}
	}
	to := t.TempDir()
	artifacttest.Must(t, fetch.Extract(t.Context(), s, b.Manifest, wanted, to))
	got := map[string]string{}
	for _, f := range files {
		if c, err := os.ReadFile(filepath.Join(to, f.Path)); err == nil {
			got[f.Path] = string(c)
		}
	}
	delete(contents, "index.php")
	if diff := cmp.Diff(contents, got); diff != "" {
		t.Error(diff)
	}

	// Nothing is written over what is there, and nothing through a link.
	if err := fetch.Extract(t.Context(), s, b.Manifest, wanted, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	outside, linked := t.TempDir(), t.TempDir()
	artifacttest.Must(t, os.Symlink(outside, filepath.Join(linked, "a")))
	if err := fetch.Extract(t.Context(), s, b.Manifest, wanted, linked); err == nil {
		t.Error("a directory that is a link out was written through")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}

	// Other content than is asked for, and what is not there.
	var damaged *artifact.Damaged
	other := wanted[0]
	other.Digest = artifact.DigestOf([]byte("else"))
	if err := fetch.Extract(t.Context(), s, b.Manifest, []artifact.File{other}, t.TempDir()); !errors.As(err, &damaged) {
		t.Errorf("other content: %v", err)
	}
	if err := fetch.Extract(t.Context(), s, b.Manifest, []artifact.File{{Path: "gone.css"}}, t.TempDir()); !errors.As(err, &damaged) {
		t.Errorf("not there: %v", err)
	}
}
