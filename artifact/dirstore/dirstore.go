// Package dirstore keeps artifacts in a directory of this machine.
//
// It knows files, and how processes that share a directory take turns: every
// write happens under a lock on the directory itself, and appears by rename.
// It refuses to know what the objects mean.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/scratch"
)

// Store is an artifact.Store below one directory. Object names are paths in
// it; names that begin with ".wpbake-" are the store's own.
type Store struct {
	dir  string
	root *os.Root
}

const ownPrefix = ".wpbake-"

// New opens the store in dir and makes the directory when it does not exist.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	return &Store{dir: dir, root: root}, nil
}

// Close releases the directory. Using the store afterwards is an error.
func (s *Store) Close() error { return s.root.Close() }

// Get implements artifact.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	f, stat, err := s.open(name)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	if n < 0 {
		n = max(0, stat.Size-off)
	}
	return &artifact.Object{ReadCloser: part{io.NewSectionReader(f, off, n), f}, Stat: stat}, nil
}

// part is a range of a file that is closed with it.
type part struct {
	io.Reader
	io.Closer
}

// open opens an object. What is not a plain file is no object.
func (s *Store) open(name string) (*os.File, artifact.Stat, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hang us
	if err != nil {
		return nil, artifact.Stat{}, asNotFound(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = artifact.ErrNotFound
	}
	var etag string
	if err == nil {
		etag, err = revision(f, info)
	}
	if err != nil {
		f.Close()
		return nil, artifact.Stat{}, err
	}
	return f, artifact.Stat{Name: name, Size: info.Size(), ETag: etag}, nil
}

func asNotFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) || isNotDirectory(err) {
		return artifact.ErrNotFound
	}
	return err
}

// Put implements artifact.Store.
func (s *Store) Put(ctx context.Context, name string, body artifact.Body, cond artifact.Condition) (artifact.Stat, error) {
	stat, err := s.put(ctx, name, body, cond)
	if err != nil {
		return artifact.Stat{}, fmt.Errorf("writing %q: %w", name, err)
	}
	return stat, nil
}

func (s *Store) put(ctx context.Context, name string, body artifact.Body, cond artifact.Condition) (artifact.Stat, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return artifact.Stat{}, err
	}
	own, err := scratch.New(s.dir, ownPrefix)
	if err != nil {
		return artifact.Stat{}, err
	}
	defer own.Remove()
	temp, err := write(ctx, own.Path, body)
	if err != nil {
		return artifact.Stat{}, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return artifact.Stat{}, err
	}
	defer unlock()
	if stat, done, err := s.meets(name, body, cond); err != nil || done {
		return stat, err
	}
	if dir := path.Dir(name); dir != "." {
		if err := s.root.MkdirAll(dir, 0o755); err != nil {
			return artifact.Stat{}, err
		}
	}
	from, err := filepath.Rel(s.dir, temp)
	if err != nil {
		return artifact.Stat{}, err
	}
	if err := s.root.Rename(from, name); err != nil {
		return artifact.Stat{}, err
	}
	if err := s.syncUp(path.Dir(name)); err != nil {
		return artifact.Stat{}, err
	}
	f, stat, err := s.open(name)
	if err != nil {
		return artifact.Stat{}, err
	}
	return stat, f.Close()
}

// write puts the body into a file of a scratch directory.
func write(ctx context.Context, dir string, body artifact.Body) (string, error) {
	f, err := os.CreateTemp(dir, "*")
	if err != nil {
		return "", err
	}
	err = errors.Join(copyBody(ctx, f, body), f.Chmod(0o644), f.Sync(), f.Close())
	return f.Name(), err
}

// meets checks a condition under the lock. done means that the body is there
// already, as the answer to a failed condition demands.
func (s *Store) meets(name string, body artifact.Body, cond artifact.Condition) (stat artifact.Stat, done bool, err error) {
	if cond == (artifact.Condition{}) {
		return artifact.Stat{}, false, nil
	}
	f, stat, err := s.open(name)
	if errors.Is(err, artifact.ErrNotFound) {
		if cond.ETag != "" {
			return artifact.Stat{}, false, artifact.ErrChanged
		}
		return artifact.Stat{}, false, nil
	}
	if err != nil {
		return artifact.Stat{}, false, err
	}
	defer f.Close()
	if !cond.Absent && stat.ETag == cond.ETag {
		return artifact.Stat{}, false, nil
	}
	have, err := digestOf(f)
	switch {
	case err != nil:
		return artifact.Stat{}, false, err
	case have == body.Digest:
		return stat, true, nil
	case cond.Absent:
		return artifact.Stat{}, false, artifact.ErrExists
	default:
		return artifact.Stat{}, false, artifact.ErrChanged
	}
}

// syncUp makes new names durable, up to the store's own directory.
func (s *Store) syncUp(dir string) error {
	for {
		f, err := s.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// List implements artifact.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	var stats []artifact.Stat
	start := path.Dir(prefix + "x") // the directory that all names share
	err := fs.WalkDir(s.root.FS(), start, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || isNotDirectory(err):
			return nil
		case err != nil || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case strings.HasPrefix(d.Name(), ownPrefix) && d.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(d.Name(), ownPrefix) || !d.Type().IsRegular() || !strings.HasPrefix(p, prefix):
			return nil
		}
		f, stat, err := s.open(p)
		if errors.Is(err, artifact.ErrNotFound) {
			return nil // deleted since
		}
		if err != nil {
			return err
		}
		stats = append(stats, stat)
		return f.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", prefix, err)
	}
	slices.SortFunc(stats, func(a, b artifact.Stat) int { return strings.Compare(a.Name, b.Name) })
	return stats, nil
}

// Delete implements artifact.Store.
func (s *Store) Delete(ctx context.Context, name string, cond artifact.Condition) error {
	if err := s.remove(ctx, name, cond); err != nil {
		return fmt.Errorf("deleting %q: %w", name, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string, cond artifact.Condition) error {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	f, stat, err := s.open(name)
	if errors.Is(err, artifact.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	if cond.ETag != "" && stat.ETag != cond.ETag {
		return artifact.ErrChanged
	}
	if err := s.root.Remove(name); err != nil {
		return err
	}
	dir := path.Dir(name)
	for ; dir != "." && s.root.Remove(dir) == nil; dir = path.Dir(dir) {
	}
	return s.syncUp(dir)
}

// checkName accepts clean relative paths that are not the store's own.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return errors.New("not a name of an object")
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ownPrefix) {
			return fmt.Errorf("names in %q are the store's own", ownPrefix)
		}
	}
	return nil
}
