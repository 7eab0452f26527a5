//go:build !linux

package tree

import (
	"errors"
	"io"
	"os"
)

// Dir is an open directory of a tree. Names given to it are single parts of a
// path, and links are never followed out of the tree.
type Dir struct{ root *os.Root }

// OpenDir opens a tree's own directory.
func OpenDir(path string) (Dir, error) {
	r, err := os.OpenRoot(path)
	return Dir{r}, err
}

// Close closes the directory.
func (d Dir) Close() error { return d.root.Close() }

// open opens a directory in d.
func (d Dir) open(name string) (Dir, error) {
	r, err := d.root.OpenRoot(name)
	return Dir{r}, err
}

// file opens a file in d. A pipe put in its place does not block.
func (d Dir) file(name string) (file, error) {
	f, err := d.root.OpenFile(name, OpenFlags, 0)
	return file{f}, err
}

// names appends the names in d to names, in no order.
func (d Dir) names(names []string, _ []byte) ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return names, err
	}
	defer f.Close()
	more, err := f.Readdirnames(-1)
	return append(names, more...), err
}

func (d Dir) stat(name string) (Stamp, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return Stamp{}, err
	}
	return StampOf(info), nil
}

// self is the Stamp of the directory itself.
func (d Dir) self() (Stamp, error) { return d.stat(".") }

func (d Dir) readlink(name string) (string, error) { return d.root.Readlink(name) }

// file is an open file of a tree.
type file struct{ f *os.File }

// Close closes the file.
func (f file) Close() error { return f.f.Close() }

// read returns 0 and no error at the end.
func (f file) read(b []byte) (int, error) {
	n, err := f.f.Read(b)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f file) stat() (Stamp, error) {
	info, err := f.f.Stat()
	if err != nil {
		return Stamp{}, err
	}
	return StampOf(info), nil
}
