package tree

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

	"github.com/wpbake/wpbake/artifact"
)

// Reader reads a scanned tree and notices what is not, or does not stay, as
// the scan met it. It keeps the directories on the way to the last path open:
// entries come in the order of a walk.
type Reader struct {
	Root  Dir
	names []string // of open, each below the one before
	open  []Dir
}

// Close closes the directories that are open, but not the root.
func (t *Reader) Close() { t.leave(0) }

// leave closes all directories but the outermost n.
func (t *Reader) leave(n int) {
	for i := len(t.open) - 1; i >= n; i-- {
		t.open[i].Close()
	}
	t.open, t.names = t.open[:n], t.names[:n]
}

// enter returns the directory at rel, "." for the root.
func (t *Reader) enter(rel string) (Dir, error) {
	if rel == "." {
		return t.Root, nil
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
		up := t.Root
		if depth > 0 {
			up = t.open[depth-1]
		}
		d, err := up.open(name)
		if err != nil {
			return Dir{}, err
		}
		t.open, t.names = append(t.open, d), append(t.names, name)
		depth++
	}
	return t.open[depth-1], nil
}

// A File is an open file of a release, to be read once.
type File interface {
	// ReadFull fills b, which is as long as the file.
	ReadFull(b []byte) error
	// ReadTo copies the whole file to w.
	ReadTo(ctx context.Context, w io.Writer) error
	Close() error
}

// Open opens a file, on the disk or wherever its content is; the caller reads it
// and closes it. One that is not as it was listed is a *Change.
func (t *Reader) Open(ctx context.Context, f *Entry) (File, error) {
	if f.Content != nil {
		r, err := f.Content.Open(ctx)
		if err != nil {
			return nil, err
		}
		return &laidFile{ReadCloser: r, entry: f}, nil
	}
	d, err := t.enter(path.Dir(f.Path))
	if err != nil {
		return nil, vanished(f.Path, err)
	}
	opened, err := d.file(path.Base(f.Path))
	if errors.Is(err, fs.ErrPermission) {
		return nil, &Refused{Finding: Finding{Rule: artifact.RuleUnreadable, Path: f.Path, Reason: "cannot be opened"}}
	}
	if err != nil {
		return nil, vanished(f.Path, err)
	}
	return &steadyFile{file: opened, found: f}, nil
}

// same tells whether an entry still is as the scan met it.
func (t *Reader) same(f *Entry) error {
	d, err := t.enter(path.Dir(f.Path))
	if err != nil {
		return vanished(f.Path, err)
	}
	st, err := d.stat(path.Base(f.Path))
	if err != nil {
		return vanished(f.Path, err)
	}
	if st != f.Stamp {
		return &Change{Path: f.Path, Reason: "changed"}
	}
	return nil
}

// steadyFile is an open file that must be, and stay, what the scan met. That is
// looked at after it was read: until then nothing of it is used.
type steadyFile struct {
	file
	found *Entry
}

func (s *steadyFile) check() error {
	st, err := s.stat()
	if err != nil {
		return vanished(s.found.Path, err)
	}
	if st != s.found.Stamp {
		return &Change{Path: s.found.Path, Reason: "changed"}
	}
	return nil
}

// ReadTo implements File.
func (s *steadyFile) ReadTo(ctx context.Context, w io.Writer) error {
	b := make([]byte, min(s.found.Size, 256<<10))
	for left := s.found.Size; left > 0; {
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

// ReadFull implements File.
func (s *steadyFile) ReadFull(b []byte) error {
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
			return fmt.Errorf("reading tree: %q: %w", s.found.Path, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		b = b[n:]
	}
	return nil
}

// still looks whether a tree is as a scan met it, to the last entry. Directories
// that look the same hold the same names.
func (t *Listing) still(ctx context.Context, root Dir) error {
	self, err := root.self()
	if err != nil {
		return vanished("", err)
	}
	if self != t.Self {
		return &Change{Path: ".", Reason: "changed"}
	}
	n := walkers()
	errs := make([]error, n)
	var all sync.WaitGroup
	for w := range n {
		part := t.Entries[len(t.Entries)*w/n : len(t.Entries)*(w+1)/n]
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

// Same reports whether a tree looks as another to the last entry, whatever is
// known of contents.
func (t *Listing) Same(other *Listing) bool {
	return t.Self == other.Self && slices.EqualFunc(t.Entries, other.Entries, func(a, b Entry) bool {
		return a.Stamp == b.Stamp && a.Path == b.Path && a.Kind == b.Kind && a.Size == b.Size && a.Target == b.Target
	})
}

func stillPart(ctx context.Context, root Dir, part []Entry) error {
	t := &Reader{Root: root}
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
