//go:build !linux

package artifact

import (
	"errors"
	"io"
	"os"
)

// dir is an open directory of a tree. Names given to it are single parts of a
// path, and links are never followed out of the tree.
type dir struct{ root *os.Root }

// openTree opens a tree's own directory.
func openTree(path string) (dir, error) {
	r, err := os.OpenRoot(path)
	return dir{r}, err
}

func (d dir) close() error { return d.root.Close() }

// open opens a directory in d.
func (d dir) open(name string) (dir, error) {
	r, err := d.root.OpenRoot(name)
	return dir{r}, err
}

// file opens a file in d. A pipe put in its place does not block.
func (d dir) file(name string) (file, error) {
	f, err := d.root.OpenFile(name, openFlags, 0)
	return file{f}, err
}

// names appends the names in d to names, in no order.
func (d dir) names(names []string, _ []byte) ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return names, err
	}
	defer f.Close()
	more, err := f.Readdirnames(-1)
	return append(names, more...), err
}

func (d dir) stat(name string) (stamp, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}

// self is the stamp of the directory itself.
func (d dir) self() (stamp, error) { return d.stat(".") }

func (d dir) readlink(name string) (string, error) { return d.root.Readlink(name) }

// file is an open file of a tree.
type file struct{ f *os.File }

func (f file) Close() error { return f.f.Close() }

// read returns 0 and no error at the end.
func (f file) read(b []byte) (int, error) {
	n, err := f.f.Read(b)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f file) stat() (stamp, error) {
	info, err := f.f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}
