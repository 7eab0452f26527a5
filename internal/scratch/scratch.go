// Package scratch makes directories that a killed process does not leave for
// good.
//
// Each stands in a directory of its own that is locked by the process that made
// it; a lock ends with its process. Whoever makes another one beside it removes those that
// nobody locks. The package refuses to know what they are for.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a directory of this process alone, until Remove. It is not the locked
// one: who takes turns by a lock on Path does not wait for this process itself.
type Dir struct {
	Path  string
	outer string
	lock  *os.File
}

// attempts is how often another process may take a new directory for a dead
// one, in the moment before it is locked.
const attempts = 100

// New makes a directory in one in parent, or in the system's directory for
// temporary files if parent is empty, whose name is prefix and digits. Others of the same
// prefix, user and parent whose processes are gone are removed; nothing is said
// about those that cannot be.
//
// On a file system without locks, and on systems other than Linux, nothing is
// locked, and nothing is removed.
func New(parent, prefix string) (*Dir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent, prefix)
	for range attempts {
		path, err := os.MkdirTemp(parent, prefix+"*")
		if err != nil {
			return nil, fmt.Errorf("making a scratch directory: %w", err)
		}
		d, err := locked(path)
		if d != nil || err != nil {
			return d, err
		}
	}
	return nil, fmt.Errorf("making a scratch directory in %q: others remove it at once", parent)
}

// locked locks a new directory; nothing is returned when a sweeper was faster.
func locked(path string) (*Dir, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a scratch directory: %w", err), os.Remove(path))
	}
	ok, err := lock(f)
	if !ok && err == nil || !names(path, f) {
		f.Close()
		return nil, nil
	}
	d := &Dir{Path: filepath.Join(path, "d"), outer: path, lock: f}
	if err := os.Mkdir(d.Path, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("making a scratch directory: %w", err), d.Remove())
	}
	return d, nil
}

// names tells whether an open directory has, still, this name.
func names(path string, f *os.File) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// Remove removes the directory and all it holds.
func (d *Dir) Remove() error {
	return errors.Join(os.RemoveAll(d.outer), d.lock.Close())
}

// sweep removes the directories that dead processes left.
func sweep(parent, prefix string) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range all {
		if digits, ok := strings.CutPrefix(name, prefix); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			remove(root, name)
		}
	}
}

// remove removes a directory of this user that nobody locks. While it is being
// removed it is locked here: its maker, should it be but a moment old, then
// makes another one.
func remove(root *os.Root, name string) {
	if info, err := root.Lstat(name); err != nil || !info.IsDir() || !ours(info) {
		return
	}
	f, err := root.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if ok, err := lock(f); !ok || err != nil {
		return
	}
	opened, err := f.Stat()
	if err != nil {
		return
	}
	if named, err := root.Lstat(name); err == nil && os.SameFile(opened, named) {
		root.RemoveAll(name)
	}
}
