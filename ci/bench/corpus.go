package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// corpus is a tree to measure with.
type corpus struct {
	Name  string
	Tree  string
	Files int
	Bytes int64
}

// shape is what a corpus grows to; zero leaves the base tree as it is.
type shape struct {
	files int
	bytes int64
}

var shapes = map[string]shape{
	"small":  {},
	"medium": {36_000, 550 << 20},
	"large":  {130_000, 2400 << 20},
}

// generation changes when the generator's output does.
const generation = "2"

// makeCorpus makes a corpus, or takes the one that an earlier run made.
func makeCorpus(o options, name string) (corpus, error) {
	want, ok := shapes[name]
	if !ok {
		return corpus{}, fmt.Errorf("no corpus %q: want small, medium or large", name)
	}
	base, err := listTree(o.base)
	if err != nil {
		return corpus{}, fmt.Errorf("reading the base tree: %w", err)
	}
	dir := filepath.Join(o.dir, "corpora", name)
	c := corpus{Name: name, Tree: filepath.Join(dir, "tree")}
	key := fmt.Sprintf("%s %v %x\n", generation, want, base.sum)
	if have, err := os.ReadFile(filepath.Join(dir, "key")); err != nil || string(have) != key {
		fmt.Fprintf(os.Stderr, "making corpus %s\n", name)
		if err := c.make(base, want); err != nil {
			return corpus{}, fmt.Errorf("making corpus %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o644); err != nil {
			return corpus{}, err
		}
	}
	list, err := listTree(c.Tree)
	c.Files, c.Bytes = len(list.files), list.bytes
	return c, err
}

func (c corpus) make(base listing, want shape) error {
	if err := os.RemoveAll(filepath.Dir(c.Tree)); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Tree, 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(c.Tree, os.DirFS(base.dir)); err != nil {
		return err
	}
	if want.files == 0 {
		return nil
	}
	g, err := newGenerator(base, c.Tree)
	if err != nil {
		return err
	}
	return g.grow(want.files-len(base.files), want.bytes-base.bytes)
}

// listing is a tree's files, in order.
type listing struct {
	dir   string
	files []string
	sizes []int64
	bytes int64
	sum   []byte // of paths and sizes
}

func listTree(dir string) (listing, error) {
	l := listing{dir: dir}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%q is no file", p)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		l.files = append(l.files, rel)
		l.sizes = append(l.sizes, info.Size())
		l.bytes += info.Size()
		return err
	})
	if err == nil && len(l.files) == 0 {
		err = errors.New("it is empty")
	}
	h := sha256.New()
	for i, f := range l.files {
		fmt.Fprintf(h, "%s %d\n", f, l.sizes[i])
	}
	l.sum = h.Sum(nil)
	return l, err
}

// phpFile returns a file in the middle of the corpus, to change.
func (c corpus) phpFile() (string, error) {
	files, err := filepath.Glob(filepath.Join(c.Tree, "wp-content/plugins/*/*.php"))
	if err == nil && len(files) == 0 {
		files, err = filepath.Glob(filepath.Join(c.Tree, "wp-includes/*.php"))
	}
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, errors.New("the corpus has no PHP file to change"))
	}
	slices.Sort(files)
	return files[len(files)/2], nil
}

// pluginFiles returns the text files of a plugin of middling size.
func (c corpus) pluginFiles() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(c.Tree, "wp-content/plugins/*/"))
	if err != nil {
		return nil, err
	}
	var plugins [][]string
	for _, dir := range dirs {
		var files []string
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(p); err == nil && (ext == ".php" || ext == ".js" || ext == ".css") {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			plugins = append(plugins, files)
		}
	}
	if len(plugins) == 0 {
		return nil, errors.New("the corpus has no plugin to update")
	}
	slices.SortFunc(plugins, func(a, b []string) int { return len(a) - len(b) })
	return plugins[len(plugins)/2], nil
}
