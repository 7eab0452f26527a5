package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// A log names a file by whatever way PHP came to it: the tree, a link to it, or
// the release's own directory on a node.
func TestPathsOfALogAreFoundInTheTree(t *testing.T) {
	dir := t.TempDir()
	tree, link := filepath.Join(dir, "tree"), filepath.Join(dir, "link")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tree, link); err != nil {
		t.Fatal(err)
	}
	node := "/srv/wordpress/releases/1a2b3c4d5e6f/wordpress/"
	for _, tt := range []struct {
		name  string
		below func(string) (string, bool)
		p     string
		want  string // empty for none
	}{
		{"itself", belowAny(tree), tree + "/a/b.php", "a/b.php"},
		{"by a link", belowAny(link), tree + "/a.php", "a.php"},
		{"named by the link", belowAny(link), link + "/a.php", "a.php"},
		{"beside it", belowAny(tree), tree + "2/a.php", ""},
		{"on a node", belowAny(tree), node + "a.php", ""},
		{"on a node, whichever", anyRelease(tree), node + "a/b.php", "a/b.php"},
		{"what serves there", anyRelease(tree), "/srv/wordpress/current/wordpress/a.php", "a.php"},
		{"here as well", anyRelease(link), tree + "/a.php", "a.php"},
		{"elsewhere", anyRelease(tree), "/tmp/a.php", ""},
	} {
		got, ok := tt.below(tt.p)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q is %q, %v; want %q", tt.name, tt.p, got, ok, tt.want)
		}
	}
}

// One log that can be read is enough, and a FIFO is none: reading it would hang.
func TestReadLogs(t *testing.T) {
	dir := t.TempDir()
	log, fifo := filepath.Join(dir, "php.log"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(log, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	out := &cli.Output{Stderr: &errs}
	_, read, err := readLogs(out, ran{below: belowAny(dir), logs: []string{fifo, filepath.Join(dir, "none"), log}})
	if err != nil || read != "1 log of 2 lines" {
		t.Errorf("read %q, %v", read, err)
	}
	if got := strings.Count(errs.String(), "reading log"); got != 2 {
		t.Errorf("told of %d: %s", got, errs.String())
	}
	if _, _, err := readLogs(out, ran{below: belowAny(dir), logs: []string{fifo}}); err == nil || cli.HintOf(err) == "" {
		t.Errorf("no log at all: %v", err)
	}
}

func TestRuntimeWaivers(t *testing.T) {
	all := []rules.Waiver{{ID: "T07"}, {ID: "W99", Path: "a"}}
	if got := runtimeWaivers(all); len(got) != 1 || got[0].Path != "a" || len(all) != 2 || all[0].ID != "T07" {
		t.Errorf("of %v these can be used: %v", all, got)
	}
}
