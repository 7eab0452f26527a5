package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// treeReader opens files of a scanned tree and notices when one is not, or
// does not stay, what the scan met. It keeps the last directory open: entries
// come in the order of a walk.
type treeReader struct {
	root   *os.Root
	dir    *os.Root
	dirRel string
}

func (t *treeReader) Close() {
	if t.dir != nil {
		t.dir.Close()
	}
}

// enter returns the directory at rel, below the root.
func (t *treeReader) enter(rel string) (*os.Root, error) {
	if t.dir != nil && t.dirRel == rel {
		return t.dir, nil
	}
	dir, err := t.root.OpenRoot(rel)
	if err != nil {
		return nil, err
	}
	t.Close()
	t.dir, t.dirRel = dir, rel
	return dir, nil
}

// open opens a file; the caller reads it with steadyFile and closes it.
func (t *treeReader) open(f *found) (*steadyFile, error) {
	dir, err := t.enter(path.Dir(f.path))
	if err != nil {
		return nil, vanished(f.path, err)
	}
	file, err := dir.OpenFile(path.Base(f.path), openFlags, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &TreeError{Rule: RuleUnreadable, Path: f.path, Reason: "cannot be opened"}
	}
	if err != nil {
		return nil, vanished(f.path, err)
	}
	s := &steadyFile{File: file, found: f}
	if err := s.check(); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

// steadyFile is an open file that must stay as the scan met it.
type steadyFile struct {
	*os.File
	found *found
}

func (s *steadyFile) check() error {
	info, err := s.Stat()
	if err != nil {
		return vanished(s.found.path, err)
	}
	if stampOf(info) != s.found.stamp {
		return &errVanished{s.found.path, "changed"}
	}
	return nil
}

// readTo copies the whole file to w. A file that ends early or goes on has
// changed.
func (s *steadyFile) readTo(ctx context.Context, w io.Writer) error {
	for left := s.found.size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(w, s.File, min(left, frameTarget))
		left -= n
		if err != nil {
			return s.readError(err)
		}
	}
	return s.finish()
}

// readFull fills b, which is as long as the file.
func (s *steadyFile) readFull(b []byte) error {
	if _, err := io.ReadFull(s.File, b); err != nil {
		return s.readError(err)
	}
	return s.finish()
}

func (s *steadyFile) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &errVanished{s.found.path, "shrank"}
	}
	return fmt.Errorf("reading tree: %w", err)
}

func (s *steadyFile) finish() error {
	if n, _ := s.Read(make([]byte, 1)); n > 0 {
		return &errVanished{s.found.path, "grew"}
	}
	return s.check()
}
