package artifacttest

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// Tree is a tree in a test: paths to contents. A path that ends with a slash
// is a directory, a content that begins with "-> " is a link's target.
type Tree map[string]string

// Sample has something of everything: a file of no bytes, one of exactly a
// tar block, one that fills several frames, names that need PAX, links, an
// empty directory.
func Sample() Tree {
	noise := rand.New(rand.NewPCG(1, 2))
	large := make([]byte, 5<<20)
	for i := range large {
		large[i] = byte(noise.Uint32() >> 28)
	}
	t := Tree{
		"index.php":                           "<?php require 'wp-blog-header.php';\n",
		"empty.txt":                           "",
		"block.bin":                           strings.Repeat("b", 512),
		"wp-includes/version.php":             "<?php $wp_version = '7.0.3';\n",
		"wp-content/themes/t/Zürich.css":      "a{}",
		"wp-content/themes/t-a/style.css":     "/* sorts after t/ */",
		"wp-content/themes/t/video.bin":       string(large),
		"wp-content/plugins/":                 "",
		"-leading-hyphen":                     "x",
		"wp-content/index.php":                "-> ../index.php",
		"wp-content/themes/current":           "-> t",
		strings.Repeat("long/", 40) + "f.php": "deep",
	}
	for i := range 300 {
		name := "wp-admin/f" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ".php"
		t[name] = strings.Repeat(name, 20+i*3)
	}
	return t
}

// Write makes the tree in a directory, in any order, and returns the directory.
func (t Tree) Write(tb testing.TB, dir string) string {
	tb.Helper()
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		content := t[name]
		full := filepath.Join(dir, filepath.FromSlash(name))
		Must(tb, os.MkdirAll(filepath.Dir(full), 0o755))
		target, isLink := strings.CutPrefix(content, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			Must(tb, os.MkdirAll(full, 0o755))
		case isLink:
			Must(tb, os.Symlink(target, full))
		default:
			Must(tb, os.WriteFile(full, []byte(content), 0o644))
		}
	}
	return dir
}

// Must ends the test on an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Read is the inverse of write, without directories that are not empty.
func Read(tb testing.TB, dir string) Tree {
	tb.Helper()
	t := Tree{}
	Must(tb, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch d.Type() {
		case 0:
			b, err := os.ReadFile(p)
			t[rel] = string(b)
			return err
		case os.ModeSymlink:
			target, err := os.Readlink(p)
			t[rel] = "-> " + target
			return err
		case os.ModeDir:
			names, err := os.ReadDir(p)
			if len(names) == 0 {
				t[rel+"/"] = ""
			}
			return err
		}
		tb.Errorf("%s: unexpected %v", rel, d.Type())
		return nil
	}))
	return t
}

// Diff tells the test how a tree differs from the one that is wanted.
func Diff(tb testing.TB, got, want Tree) {
	tb.Helper()
	for name, content := range want {
		if g, ok := got[name]; !ok {
			tb.Errorf("%q is missing", name)
		} else if g != content {
			tb.Errorf("%q differs: %d bytes, want %d", name, len(g), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			tb.Errorf("%q is extra", name)
		}
	}
}

// Python returns the Python that Debian's python3-zstandard is for.
func Python(tb testing.TB) string {
	tb.Helper()
	const path = "/usr/bin/python3"
	tier.Need(tb, "python3-zstandard", exec.CommandContext(tb.Context(), path, "-c", "import zstandard").Run() == nil)
	return path
}
