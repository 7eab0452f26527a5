// Package scan lists the tree that a release would be made of, and looks into
// each of its files once: which signatures it shows.
//
// It knows files and bytes. It refuses to know what WordPress is, and what a
// signature means where it is found.
package scan

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

// File is an entry of the tree that a release would hold.
type File struct {
	Path    string
	Info    fs.FileInfo
	Target  string  // of a link
	Matches []Match // what its content shows
}

// Regular reports whether it is a regular file.
func (f *File) Regular() bool { return f.Info.Mode().IsRegular() }

// IsLink reports whether it is a symbolic link.
func (f *File) IsLink() bool { return f.Info.Mode().Type() == fs.ModeSymlink }

// Base is the last part of its path.
func (f *File) Base() string { return path.Base(f.Path) }

// IsPHP reports whether the file is PHP by its name.
func (f *File) IsPHP() bool { return f.Regular() && strings.EqualFold(path.Ext(f.Path), ".php") }

// First returns the first match of a signature.
func (f *File) First(s Signature) (Match, bool) {
	i := slices.IndexFunc(f.Matches, func(m Match) bool { return m.Signature == s })
	if i < 0 {
		return Match{}, false
	}
	return f.Matches[i], true
}

// LeftOut is a directory or file that no release holds.
type LeftOut struct {
	Path string
	Dir  bool
	By   string // what leaves it out, as Options.LeaveOut said
}

// Options say what a scan passes over. The zero value reads all of a tree.
type Options struct {
	Exclude  func(path string) bool                   // neither listed nor noted
	LeaveOut func(path string) (by string, out bool)  // noted as left out, and not entered
	Known    func(f *File) (matches []Match, ok bool) // of a file that need not be read again
}

// Tree is a tree as a scan found it. Nobody changes it any more.
type Tree struct {
	FS      fs.FS
	Files   []File // all that is not left out, by path
	LeftOut []LeftOut
	Regular int   // how many regular files
	Bytes   int64 // in them

	byPath map[string]*File
}

// Read lists a tree and reads its files, as many at a time as there are
// processors.
func Read(ctx context.Context, fsys fs.FS, o Options) (*Tree, error) {
	t := &Tree{FS: fsys, byPath: map[string]*File{}}
	if err := t.walk(ctx, o); err != nil {
		return nil, err
	}
	return t, t.readFiles(ctx, o)
}

func (t *Tree) walk(ctx context.Context, o Options) error {
	err := fs.WalkDir(t.FS, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist):
			return nil // building refuses it
		case err != nil || p == ".":
			return err
		case o.Exclude != nil && o.Exclude(p):
			return skip(d)
		}
		if o.LeaveOut != nil {
			if by, out := o.LeaveOut(p); out {
				t.LeftOut = append(t.LeftOut, LeftOut{p, d.IsDir(), by})
				return skip(d)
			}
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f := File{Path: p, Info: info}
		if f.IsLink() {
			if f.Target, err = fs.ReadLink(t.FS, p); err != nil {
				return err
			}
		}
		t.Files = append(t.Files, f)
		return nil
	})
	slices.SortFunc(t.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := range t.Files {
		f := &t.Files[i]
		t.byPath[f.Path] = f
		if f.Regular() {
			t.Regular++
			t.Bytes += f.Info.Size()
		}
	}
	return err
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// Has reports whether a release would hold a path.
func (t *Tree) Has(p string) bool { return t.byPath[p] != nil }

// File returns an entry by its path, or nil.
func (t *Tree) File(p string) *File { return t.byPath[p] }

// Below returns all that lies below a directory.
func (t *Tree) Below(dir string) []File {
	if dir == "." {
		return t.Files
	}
	// "0" is the byte after "/": all that begins with dir/ lies between.
	byPath := func(f File, p string) int { return strings.Compare(f.Path, p) }
	from, _ := slices.BinarySearchFunc(t.Files, dir+"/", byPath)
	to, _ := slices.BinarySearchFunc(t.Files, dir+"0", byPath)
	return t.Files[from:to]
}

// ReadFile returns at most limit bytes of a regular file.
func (t *Tree) ReadFile(p string, limit int64) ([]byte, error) {
	if !safefs.IsFile(t.FS, p) {
		return nil, fs.ErrNotExist
	}
	return safefs.ReadFile(t.FS, p, limit)
}

// readFiles finds what files show.
func (t *Tree) readFiles(ctx context.Context, o Options) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for w := range errs {
		group.Go(func() {
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= len(t.Files) || ctx.Err() != nil {
					return
				}
				f := &t.Files[i]
				if o.Known != nil {
					if matches, ok := o.Known(f); ok {
						f.Matches = matches
						continue
					}
				}
				if buf, errs[w] = t.match(f, buf); errs[w] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// match reads one file into a buffer, which it returns for the next.
func (t *Tree) match(f *File, buf []byte) ([]byte, error) {
	limit := worthReading(f)
	if limit == 0 {
		return buf, nil
	}
	r, err := t.FS.Open(f.Path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return buf, nil
	}
	if err != nil {
		return buf, err
	}
	defer r.Close()
	size := min(f.Info.Size(), limit)
	if int64(cap(buf)) < size {
		buf = make([]byte, size+size/2)
	}
	buf = buf[:cap(buf)]
	n, err := io.ReadFull(r, buf[:size])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return buf, err
	}
	f.Matches = find(f, buf[:n])
	return buf, nil
}
