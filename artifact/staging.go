package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// staging is the directory that a release is unpacked into before it gets its
// name. Everything is written below one os.Root, and only directories, files
// and the links that the index declares; modes are set before the first link
// exists.
//
// The directory that holds dest is opened once and everything is done in it:
// whoever swaps it, or something in it, for a link meanwhile leads nothing
// outside.
type staging struct {
	dest   string
	name   string   // of dest in parent
	parent *os.Root // holds dest
	root   *os.Root // what is unpacked into; nil before open
	lock   *os.File // the parent
	made   []string // directories above dest that were made for it
}

const partial = ".partial"

// newStaging waits until nobody else unpacks beside dest, then throws away
// what an earlier, killed run left.
func newStaging(ctx context.Context, dest string) (*staging, error) {
	made, err := makeDirs(filepath.Dir(dest))
	if err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	s := &staging{dest: dest, name: filepath.Base(dest), made: made}
	if s.parent, err = os.OpenRoot(filepath.Dir(dest)); err != nil {
		removeEmpty(made)
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if s.lock, err = lockDir(ctx, s.parent); err != nil {
		s.parent.Close()
		removeEmpty(made)
		return nil, err
	}
	return s, nil
}

func lockDir(ctx context.Context, dir *os.Root) (*os.File, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, fmt.Errorf("locking directory: %w", err)
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		ok, err := lockFile(f)
		if ok {
			return f, nil
		}
		if err == nil {
			select {
			case <-retry.C:
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		f.Close()
		return nil, fmt.Errorf("locking directory %q: %w", dir.Name(), err)
	}
}

// open makes the empty directory.
func (s *staging) open() error {
	if err := s.parent.RemoveAll(s.name + partial); err != nil {
		return fmt.Errorf("removing a half-finished release: %w", err)
	}
	if err := s.parent.Mkdir(s.name+partial, dirMode); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	root, err := s.parent.OpenRoot(s.name + partial)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	names, err := namesIn(root)
	if err != nil || len(names) > 0 || !s.stands(root, s.name+partial) {
		root.Close()
		return s.swapped()
	}
	s.root = root
	return s.root.Chmod(".", dirMode)
}

func namesIn(root *os.Root) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// stands tells whether an open directory is what stands under a name, and no
// link to it.
func (s *staging) stands(root *os.Root, name string) bool {
	opened, err := root.Stat(".")
	if err != nil {
		return false
	}
	named, err := s.parent.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

func (s *staging) swapped() error {
	return fmt.Errorf("unpacking into %q: somebody else puts other things in its place", s.dest+partial)
}

// exists tells whether there is anything under the final name.
func (s *staging) exists() bool {
	_, err := s.parent.Lstat(s.name)
	return !errors.Is(err, fs.ErrNotExist)
}

// close removes what was not committed, whatever its name is by now.
func (s *staging) close() {
	if s.root != nil {
		names, _ := namesIn(s.root)
		for _, name := range names {
			s.root.RemoveAll(name)
		}
		s.root.Close()
		s.parent.RemoveAll(s.name + partial)
	}
	s.lock.Close()
	s.parent.Close()
	removeEmpty(s.made)
}

// directories makes all of them, whatever the umask says.
func (s *staging) directories(entries []entry) error {
	for i := range entries {
		if e := &entries[i]; e.kind == kindDir {
			if err := s.root.Mkdir(e.path, dirMode); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
			if err := s.root.Chmod(e.path, dirMode); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	return nil
}

// finish makes links and sets the times of directories, whose content is
// complete now.
func (s *staging) finish(entries []entry) error {
	for i := range entries {
		if e := &entries[i]; e.kind == kindLink {
			if err := s.root.Symlink(e.target, e.path); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := &entries[i]; e.kind == kindDir {
			if err := s.root.Chtimes(e.path, e.modTime(), e.modTime()); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	return nil
}

// commit makes everything durable, then visible.
func (s *staging) commit() error {
	dir, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	defer dir.Close()
	if err := syncTree(dir); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if s.exists() {
		return &DestTaken{Dest: s.dest, Err: errors.New("it appeared meanwhile")}
	}
	if !s.stands(s.root, s.name+partial) {
		return s.swapped()
	}
	if err := s.parent.Rename(s.name+partial, s.name); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if !s.stands(s.root, s.name) { // it was swapped this very moment
		return errors.Join(s.swapped(), s.parent.Rename(s.name, s.name+partial))
	}
	s.root.Close()
	s.root = nil
	return s.lock.Sync()
}

// write stores a small file beside what was unpacked.
func (s *staging) write(name string, b []byte) error {
	sink := &fileSink{dirs: lastDir{root: s.root}}
	defer sink.dirs.Close()
	w, err := sink.create(name)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return w.Close()
}

// lastDir keeps the last directory open: entries come in the order of a walk.
type lastDir struct {
	root *os.Root
	dir  *os.Root
	rel  string
}

func (t *lastDir) Close() {
	if t.dir != nil {
		t.dir.Close()
	}
}

// enter returns the directory at rel, below the root.
func (t *lastDir) enter(rel string) (*os.Root, error) {
	if t.dir != nil && t.rel == rel {
		return t.dir, nil
	}
	dir, err := t.root.OpenRoot(rel)
	if err != nil {
		return nil, err
	}
	t.Close()
	t.dir, t.rel = dir, rel
	return dir, nil
}

// fileSink writes files below a staging root. Each worker has its own, and
// keeps the last directory open.
type fileSink struct {
	dirs lastDir
	u    *unpacker
}

func (k *fileSink) file(i int, e *entry) (io.WriteCloser, error) {
	f, err := k.create(e.path)
	if err != nil {
		return nil, err
	}
	return &sunkFile{File: f, sink: k, number: i}, nil
}

func (k *fileSink) create(p string) (*os.File, error) {
	dir, err := k.dirs.enter(path.Dir(p))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	f, err := dir.OpenFile(path.Base(p), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if err := f.Chmod(fileMode); err != nil {
		f.Close()
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return f, nil
}

// sunkFile gets its content's time when it is closed.
type sunkFile struct {
	*os.File
	sink   *fileSink
	number int
}

func (f *sunkFile) Close() error {
	if err := f.File.Close(); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	e := f.sink.u.index.entries[f.number]
	e.sum = f.sink.u.sums[f.number]
	if err := f.sink.dirs.dir.Chtimes(path.Base(e.path), e.modTime(), e.modTime()); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return nil
}
