package tree

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// View shows a listing as a file system; disk is the same tree. What directories
// hold, and how that looks, is told without asking the disk again. Contents that
// are not laid over, what links lead to, and what a build leaves out come from
// the disk. Of a tree that no node could hold the disk itself is shown: what is
// wrong with it is not in the listing.
func (t *Listing) View(disk fs.FS) fs.FS {
	if len(t.Findings) > 0 {
		return disk
	}
	return newView(disk, t)
}

// view is a listing as a file system.
type view struct {
	disk    fs.FS
	entries []Entry  // in the order of comparePaths
	left    []string // paths of what was left out, sorted
	inside  map[string][]fs.DirEntry
}

var (
	_ fs.ReadDirFS  = (*view)(nil)
	_ fs.StatFS     = (*view)(nil)
	_ fs.ReadLinkFS = (*view)(nil)
)

func newView(disk fs.FS, t *Listing) *view {
	v := &view{disk: disk, entries: t.Entries, left: slices.Sorted(slices.Values(t.Excluded)), inside: map[string][]fs.DirEntry{".": nil}}
	for i := range v.entries {
		f := &v.entries[i]
		dir := path.Dir(f.Path)
		v.inside[dir] = append(v.inside[dir], seen{f})
		if f.Kind == artifact.KindDir {
			v.inside[f.Path] = nil
		}
	}
	return v
}

func (v *view) Open(name string) (fs.File, error) {
	f := v.find(name)
	if f == nil || f.Content == nil {
		return v.disk.Open(name)
	}
	r, err := f.Content.Open(context.Background())
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &laidFile{ReadCloser: r, entry: f}, nil
}

// ReadDir lists a directory by name, with what is left out.
func (v *view) ReadDir(name string) ([]fs.DirEntry, error) {
	inside, met := v.inside[name]
	if !met {
		return fs.ReadDir(v.disk, name)
	}
	list := slices.Clone(inside)
	for _, p := range v.leftIn(name) {
		info, err := fs.Lstat(v.disk, p)
		if err != nil {
			continue // gone since the scan
		}
		list = append(list, fs.FileInfoToDirEntry(info))
	}
	if len(list) > len(inside) {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	}
	return list, nil
}

// leftIn are the paths that were left out of a directory.
func (v *view) leftIn(dir string) (paths []string) {
	for _, p := range v.left {
		if path.Dir(p) == dir {
			paths = append(paths, p)
		}
	}
	return paths
}

func (v *view) Stat(name string) (fs.FileInfo, error) {
	if f := v.find(name); f != nil && f.Kind != artifact.KindLink {
		return seen{f}, nil
	}
	if v.absent(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return fs.Stat(v.disk, name)
}

func (v *view) Lstat(name string) (fs.FileInfo, error) {
	if f := v.find(name); f != nil {
		return seen{f}, nil
	}
	if v.absent(name) {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
	}
	return fs.Lstat(v.disk, name)
}

func (v *view) ReadLink(name string) (string, error) {
	if f := v.find(name); f != nil && f.Kind == artifact.KindLink {
		return f.Target, nil
	}
	return fs.ReadLink(v.disk, name)
}

// find returns the entry at a path, nil when the scan met none.
func (v *view) find(name string) *Entry {
	i, ok := slices.BinarySearchFunc(v.entries, name, func(f Entry, name string) int { return artifact.ComparePaths(f.Path, name) })
	if !ok {
		return nil
	}
	return &v.entries[i]
}

// absent reports that there is nothing at a path: its directory was listed.
func (v *view) absent(name string) bool {
	if _, listed := v.inside[path.Dir(name)]; !listed || name == "." {
		return false
	}
	_, left := slices.BinarySearch(v.left, name)
	return !left && v.find(name) == nil
}

// seen is an entry as the scan met it.
type seen struct{ found *Entry }

func (s seen) Name() string               { return s.found.Path[strings.LastIndexByte(s.found.Path, '/')+1:] }
func (s seen) Size() int64                { return s.found.Stamp.Size }
func (s seen) Mode() fs.FileMode          { return s.found.Stamp.Mode }
func (s seen) Type() fs.FileMode          { return s.found.Stamp.Mode.Type() }
func (s seen) IsDir() bool                { return s.found.Kind == artifact.KindDir }
func (s seen) ModTime() time.Time         { return time.Unix(0, s.found.Stamp.Mtime) }
func (s seen) Info() (fs.FileInfo, error) { return s, nil }
func (s seen) Sys() any                   { return nil }

// FileID returns what the file is on its disk; two names of one file have the
// same.
func (s seen) FileID() (id [2]uint64, ok bool) {
	return [2]uint64{s.found.Stamp.Dev, s.found.Stamp.Ino}, s.found.Stamp.Ino != 0
}
