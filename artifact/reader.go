package artifact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// treeReader reads a scanned tree and notices what is not, or does not stay, as
// the scan met it. It keeps the directories on the way to the last path open:
// entries come in the order of a walk.
type treeReader struct {
	root  dir
	names []string // of open, each below the one before
	open  []dir
}

func (t *treeReader) Close() { t.leave(0) }

// leave closes all directories but the outermost n.
func (t *treeReader) leave(n int) {
	for i := len(t.open) - 1; i >= n; i-- {
		t.open[i].close()
	}
	t.open, t.names = t.open[:n], t.names[:n]
}

// enter returns the directory at rel, "." for the root.
func (t *treeReader) enter(rel string) (dir, error) {
	if rel == "." {
		return t.root, nil
	}
	depth := 0
	for rel != "" {
		var name string
		name, rel, _ = strings.Cut(rel, "/")
		if depth < len(t.names) && t.names[depth] == name {
			depth++
			continue
		}
		t.leave(depth)
		up := t.root
		if depth > 0 {
			up = t.open[depth-1]
		}
		d, err := up.open(name)
		if err != nil {
			return dir{}, err
		}
		t.open, t.names = append(t.open, d), append(t.names, name)
		depth++
	}
	return t.open[depth-1], nil
}

// file opens a file; the caller reads it and closes it.
func (t *treeReader) file(f *found) (*steadyFile, error) {
	d, err := t.enter(path.Dir(f.path))
	if err != nil {
		return nil, vanished(f.path, err)
	}
	opened, err := d.file(path.Base(f.path))
	if errors.Is(err, fs.ErrPermission) {
		return nil, &TreeError{Rule: RuleUnreadable, Path: f.path, Reason: "cannot be opened"}
	}
	if err != nil {
		return nil, vanished(f.path, err)
	}
	return &steadyFile{file: opened, found: f}, nil
}

// same tells whether an entry still is as the scan met it.
func (t *treeReader) same(f *found) error {
	d, err := t.enter(path.Dir(f.path))
	if err != nil {
		return vanished(f.path, err)
	}
	st, err := d.stat(path.Base(f.path))
	if err != nil {
		return vanished(f.path, err)
	}
	if st != f.stamp {
		return &errVanished{f.path, "changed"}
	}
	return nil
}

// steadyFile is an open file that must be, and stay, what the scan met. That is
// looked at after it was read: until then nothing of it is used.
type steadyFile struct {
	file
	found *found
}

func (s *steadyFile) check() error {
	st, err := s.stat()
	if err != nil {
		return vanished(s.found.path, err)
	}
	if st != s.found.stamp {
		return &errVanished{s.found.path, "changed"}
	}
	return nil
}

// readTo copies the whole file to w.
func (s *steadyFile) readTo(ctx context.Context, w io.Writer) error {
	b := make([]byte, min(s.found.size, 256<<10))
	for left := s.found.size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := b[:min(left, int64(len(b)))]
		if err := s.fill(part); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return s.check()
}

// readFull fills b, which is as long as the file.
func (s *steadyFile) readFull(b []byte) error {
	if err := s.fill(b); err != nil {
		return err
	}
	return s.check()
}

func (s *steadyFile) fill(b []byte) error {
	for len(b) > 0 {
		n, err := s.read(b)
		if err != nil || n == 0 {
			if changed := s.check(); changed != nil {
				return changed
			}
			return fmt.Errorf("reading tree: %q: %w", s.found.path, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		b = b[n:]
	}
	return nil
}

// still looks whether a tree is as a scan met it, to the last entry. Directories
// that look the same hold the same names.
func (t *scanned) still(ctx context.Context, root dir) error {
	self, err := root.self()
	if err != nil {
		return vanished("", err)
	}
	if self != t.self {
		return &errVanished{".", "changed"}
	}
	n := walkers()
	errs := make([]error, n)
	var all sync.WaitGroup
	for w := range n {
		part := t.entries[len(t.entries)*w/n : len(t.entries)*(w+1)/n]
		all.Go(func() { errs[w] = stillPart(ctx, root, part) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// same reports whether a tree looks as another to the last entry, whatever is
// known of contents.
func (t *scanned) same(other *scanned) bool {
	return t.self == other.self && slices.EqualFunc(t.entries, other.entries, func(a, b found) bool {
		return a.stamp == b.stamp && a.path == b.path && a.kind == b.kind && a.size == b.size && a.target == b.target
	})
}

func stillPart(ctx context.Context, root dir, part []found) error {
	t := &treeReader{root: root}
	defer t.Close()
	for i := range part {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := t.same(&part[i]); err != nil {
			return err
		}
	}
	return nil
}
