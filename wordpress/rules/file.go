package rules

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

// file is an entry of the tree that a release would hold.
type file struct {
	path   string
	info   fs.FileInfo
	target string // of a link
	marks  []mark // what its content shows
}

func (f *file) regular() bool { return f.info.Mode().IsRegular() }
func (f *file) link() bool    { return f.info.Mode().Type() == fs.ModeSymlink }
func (f *file) base() string  { return path.Base(f.path) }

// php reports whether the file is PHP by its name.
func (f *file) php() bool { return f.regular() && strings.EqualFold(path.Ext(f.path), ".php") }

// leftOut is a directory or file that no release holds, and what says so.
type leftOut struct {
	path string
	dir  bool
	rule *stateRule
}

// walk lists the tree. What the operator excludes is not looked at; what no
// release ever holds is noted and, uploads apart, not entered.
func (c *checker) walk(ctx context.Context) error {
	c.byPath = map[string]*file{}
	state := newStateMatcher()
	err := fs.WalkDir(c.tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist):
			return nil // building refuses it
		case err != nil || p == ".":
			return err
		case c.Exclude != nil && c.Exclude(p):
			return skip(d)
		}
		if rule := state.rule(p); rule != nil {
			c.left = append(c.left, leftOut{p, d.IsDir(), rule})
			return skip(d)
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f := file{path: p, info: info}
		if f.link() {
			if f.target, err = fs.ReadLink(c.tree, p); err != nil {
				return err
			}
		}
		c.files = append(c.files, f)
		return nil
	})
	slices.SortFunc(c.files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	for i := range c.files {
		f := &c.files[i]
		c.byPath[f.path] = f
		if f.regular() {
			c.report.Files++
			c.report.Bytes += f.info.Size()
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

// has reports whether a release would hold a path.
func (c *checker) has(p string) bool { return c.byPath[p] != nil }

// below yields all that lies below a directory.
func (c *checker) below(dir string) []file {
	if dir == "." {
		return c.files
	}
	// "0" is the byte after "/": all that begins with dir/ lies between.
	byPath := func(f file, p string) int { return strings.Compare(f.path, p) }
	from, _ := slices.BinarySearchFunc(c.files, dir+"/", byPath)
	to, _ := slices.BinarySearchFunc(c.files, dir+"0", byPath)
	return c.files[from:to]
}

// read returns at most limit bytes of a regular file.
func (c *checker) read(p string, limit int64) ([]byte, error) {
	if !safefs.IsFile(c.tree, p) {
		return nil, fs.ErrNotExist
	}
	return safefs.ReadFile(c.tree, p, limit)
}

// look reads files, as many at a time as there are processors, and notes what
// their content shows.
func (c *checker) look(ctx context.Context) error {
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for w := range errs {
		group.Go(func() {
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.files) || ctx.Err() != nil {
					return
				}
				if buf, errs[w] = c.lookAt(&c.files[i], buf); errs[w] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// lookAt reads one file, unless it was noted what that shows, and returns the buffer that it read into.
func (c *checker) lookAt(f *file, buf []byte) ([]byte, error) {
	if marks, ok := c.previous.marksOf(f); ok {
		f.marks = marks
		return buf, nil
	}
	limit := lookLimit(f)
	if limit == 0 {
		return buf, nil
	}
	r, err := c.tree.Open(f.path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return buf, nil
	}
	if err != nil {
		return buf, err
	}
	defer r.Close()
	if size := min(f.info.Size(), limit); int64(cap(buf)) < size {
		buf = make([]byte, size+size/2)
	} else {
		buf = buf[:cap(buf)]
	}
	n, err := io.ReadFull(r, buf[:min(f.info.Size(), limit)])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return buf, err
	}
	f.marks = marksOf(f, buf[:n])
	return buf, nil
}
