package safefs_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

var tree = fstest.MapFS{
	"dir/file": {Data: []byte("content")},
	"link":     {Data: []byte("dir/file"), Mode: fs.ModeSymlink},
	"pipe":     {Mode: fs.ModeNamedPipe},
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]string{"dir": "directory", "dir/file": "file", "link": "file", "pipe": "", "gone": "", "../up": ""} {
		got := ""
		switch {
		case safefs.IsFile(tree, name):
			got = "file"
		case safefs.IsDir(tree, name):
			got = "directory"
		}
		if got != want {
			t.Errorf("%s is taken for %q, want %q", name, got, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	for limit, want := range map[int64]string{0: "", 3: "con", 7: "content", 99: "content"} {
		if got, err := safefs.ReadFile(tree, "dir/file", limit); err != nil || string(got) != want {
			t.Errorf("at most %d: %q, %v", limit, got, err)
		}
	}
	if _, err := safefs.ReadFile(tree, "gone", 9); err == nil {
		t.Error("what is not there was read")
	}
}

func TestReadDir(t *testing.T) {
	if got, err := safefs.ReadDir(tree, "dir"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := safefs.ReadDir(tree, "gone"); err != nil || got != nil {
		t.Errorf("of what is not there: %v, %v", got, err)
	}
	if _, err := safefs.ReadDir(tree, "dir/file"); err == nil {
		t.Error("a file is taken for a directory")
	}
}
