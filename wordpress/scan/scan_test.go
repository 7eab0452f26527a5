package scan_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/scan"
)

func read(t *testing.T, fsys fs.FS, o scan.Options) *scan.Tree {
	t.Helper()
	tree, err := scan.Read(t.Context(), fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// shop is a tree with a link, a log, and directories whose names sort around
// a slash.
func shop() fstest.MapFS {
	return fstest.MapFS{
		"a/one.php": {Data: []byte("<?php phpinfo();")}, "a/b/two.txt": {Data: []byte("two")},
		"a-z/x": {Data: []byte("x")}, "a0/x": {Data: []byte("x")}, "a.txt": {Data: []byte("x")},
		"link":   {Data: []byte("a/one.php"), Mode: fs.ModeSymlink | 0o777},
		"my.log": {Data: []byte("log")}, "cache/page": {Data: []byte("page")}, "secret/key": {Data: []byte("key")},
	}
}

func paths(files []scan.File) string {
	var list []string
	for _, f := range files {
		list = append(list, f.Path)
	}
	return strings.Join(list, " ")
}

func TestRead(t *testing.T) {
	tree := read(t, shop(), scan.Options{
		Exclude: func(p string) bool { return p == "secret" },
		LeaveOut: func(p string) (string, bool) {
			by := map[string]string{"my.log": "logs", "cache": "caches"}[p]
			return by, by != ""
		},
	})
	if got, want := paths(tree.Files), "a a-z a-z/x a.txt a/b a/b/two.txt a/one.php a0 a0/x link"; got != want {
		t.Errorf("files %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(tree.LeftOut), "[{cache true caches} {my.log false logs}]"; got != want {
		t.Errorf("left out %s, want %s", got, want)
	}
	if tree.Regular != 5 || tree.Bytes != 22 {
		t.Errorf("%d files of %d bytes", tree.Regular, tree.Bytes)
	}
	for dir, want := range map[string]string{
		"a": "a/b a/b/two.txt a/one.php", "a/b": "a/b/two.txt", "a0": "a0/x", "gone": "", "a.txt": "", ".": paths(tree.Files),
	} {
		if got := paths(tree.Below(dir)); got != want {
			t.Errorf("below %s: %q, want %q", dir, got, want)
		}
	}
	link := tree.File("link")
	if link == nil || !link.IsLink() || link.Target != "a/one.php" || len(link.Matches) > 0 {
		t.Errorf("link %+v", link)
	}
	if tree.Has("my.log") || tree.Has("secret/key") || !tree.Has("a/b") {
		t.Error("the tree has what is left out, or lacks a directory")
	}
	if got, err := tree.ReadFile("a/b/two.txt", 2); err != nil || string(got) != "tw" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := tree.ReadFile("a/b", 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a directory: %v", err)
	}
}

// What is known of a file is taken over, and the file not read.
func TestKnown(t *testing.T) {
	known := []scan.Match{{Signature: scan.SessionStart, Line: 7}}
	tree := read(t, shop(), scan.Options{Known: func(f *scan.File) ([]scan.Match, bool) { return known, f.Path == "a/one.php" }})
	if got := tree.File("a/one.php").Matches; !slices.Equal(got, known) {
		t.Errorf("%v", got)
	}
}

// A scan that is cancelled ends as that, whatever it had found.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scan.Read(ctx, shop(), scan.Options{}); !errors.Is(err, ctx.Err()) {
		t.Errorf("%v", err)
	}
}

// Two names of one file on a disk have one id; a file alone has none.
func TestID(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "a"), nil, 0o644), os.WriteFile(filepath.Join(dir, "c"), nil, 0o644),
		os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")),
	); err != nil {
		t.Skip(err)
	}
	tree := read(t, os.DirFS(dir), scan.Options{})
	a, linked := tree.File("a").ID()
	b, _ := tree.File("b").ID()
	if _, alone := tree.File("c").ID(); !linked || a != b || alone {
		t.Errorf("a is %v (%v), b is %v, c has an id: %v", a, linked, b, alone)
	}
}
