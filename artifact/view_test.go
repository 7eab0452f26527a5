package artifact

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
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

// A Describer's tree is the tree on the disk, though the disk is only asked
// about what the build leaves out and where links lead.
func TestViewIsTheTree(t *testing.T) {
	s := newSite(t)
	s.write("wp-content/uploads/2026/a.jpg", "picture")
	s.write("wp-content/a-b.php", "sorts beside a/")
	s.write("wp-content/a/b.php", "<?php")
	for name, target := range map[string]string{"wp-content/current": "plugins", "latest.php": "index.php"} {
		if err := os.Symlink(target, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	disk := counting{os.DirFS(s.dir), map[string]bool{}}
	var seen []string
	o := BuildOptions{Out: t.TempDir(), Describe: &Describer{Describe: func(_ context.Context, tree fs.FS, _ Remembered) (Description, error) {
		v := tree.(*view)
		v.disk = disk
		err := fs.WalkDir(v, ".", func(p string, d fs.DirEntry, err error) error {
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
		if err := fstest.TestFS(v, "index.php", "wp-content/uploads/2026/a.jpg", "wp-content/a/b.php", "latest.php"); err != nil {
			t.Error(err)
		}
		return Description{}, nil
	}}}
	buildSite(s, o, 0)
	var want []string
	if err := fs.WalkDir(os.DirFS(s.dir), ".", func(p string, _ fs.DirEntry, err error) error {
		want = append(want, p)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen\n%q\nwant\n%q", seen, want)
	}
}
