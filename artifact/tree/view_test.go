package tree

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/internal/tier"
)

// counting notes which paths of a tree the disk was asked about.
type counting struct {
	fs.FS
	asked map[string]bool
}

func (c counting) Stat(name string) (fs.FileInfo, error) {
	c.asked[name] = true
	return fs.Stat(c.FS, name)
}

func (c counting) Lstat(name string) (fs.FileInfo, error) {
	c.asked[name] = true
	return fs.Lstat(c.FS, name)
}

func (c counting) ReadLink(name string) (string, error) {
	c.asked[name] = true
	return fs.ReadLink(c.FS, name)
}

func (c counting) ReadDir(name string) ([]fs.DirEntry, error) {
	c.asked[name] = true
	return fs.ReadDir(c.FS, name)
}

// A view is the tree on the disk, though the disk is only asked about what is
// left out and where links lead.
func TestViewIsTheTree(t *testing.T) {
	tier.Test(t)
	s := artifacttest.NewSite(t)
	s.Write("wp-content/uploads/2026/a.jpg", "picture")
	s.Write("wp-content/a-b.php", "sorts beside a/")
	s.Write("wp-content/a/b.php", "<?php")
	for name, target := range map[string]string{"wp-content/current": "plugins", "latest.php": "index.php"} {
		if err := os.Symlink(target, filepath.Join(s.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	disk := counting{os.DirFS(s.Dir), map[string]bool{}}
	var seen []string
	root, err := OpenDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	exclude, err := ParseExcludes(DefaultExcludes())
	if err != nil {
		t.Fatal(err)
	}
	all, err := Scan(t.Context(), root, exclude, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := all.View(disk)
	err = fs.WalkDir(v, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen = append(seen, p)
		_, err = d.Info()
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"none.php", "wp-content/none/x.php", "index.php/x"} {
		if _, err := fs.Stat(v, name); err == nil {
			t.Errorf("%q is there", name)
		}
	}
	asked := slices.Sorted(maps.Keys(disk.asked))
	want := []string{".", "index.php/x", "wp-content/none/x.php", "wp-content/uploads", "wp-content/uploads/2026", "wp-content/uploads/2026/a.jpg"}
	for _, p := range asked {
		if !slices.Contains(want, p) {
			t.Errorf("the disk was asked about %q", p)
		}
	}
	if tier.Racing() && !tier.Soaking() {
		content, err := fs.Sub(v, "wp-content")
		if err == nil {
			err = fstest.TestFS(content, "uploads/2026/a.jpg", "a/b.php", "current")
		}
		if err != nil {
			t.Error(err)
		}
	} else if err := fstest.TestFS(v, "index.php", "wp-content/uploads/2026/a.jpg", "wp-content/a/b.php", "latest.php"); err != nil {
		t.Error(err)
	}
	var paths []string
	if err := fs.WalkDir(os.DirFS(s.Dir), ".", func(p string, _ fs.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, paths) {
		t.Errorf("seen\n%q\nwant\n%q", seen, paths)
	}
}
