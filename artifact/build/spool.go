package build

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/wpbake/wpbake/artifact"
)

// upload begins an object in any store.
func upload(ctx context.Context, store artifact.ReleaseStore, name string) (artifact.Upload, error) {
	if u, ok := store.(artifact.Uploader); ok {
		return u.Upload(ctx, name)
	}
	f, err := os.CreateTemp("", "wpbake-upload-*")
	if err != nil {
		return nil, fmt.Errorf("making a scratch file: %w", err)
	}
	// Without a name nothing of it outlives this process, however that ends;
	// a system that keeps the name lets Abort remove it.
	os.Remove(f.Name())
	return &spool{File: f, store: store, name: name}, nil
}

// sweep removes what killed uploads left. It is no part of a publication: not
// to be allowed to look is no error.
func sweep(ctx context.Context, store artifact.ReleaseStore, name string) error {
	u, ok := store.(artifact.Uploader)
	if !ok {
		return nil
	}
	if err := u.Sweep(ctx, name); err != nil && !errors.Is(err, artifact.ErrDenied) {
		return err
	}
	return nil
}

// spool collects an object in a file before it is put.
type spool struct {
	*os.File
	store artifact.ReleaseStore
	name  string
	size  int64
}

func (s *spool) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	s.size += int64(n)
	return n, err
}

// Commit implements Upload.
func (s *spool) Commit(ctx context.Context, digest artifact.Digest, cond artifact.Condition) (artifact.Stat, error) {
	st, err := s.store.Put(ctx, s.name, artifact.Body{ReaderAt: s.File, Size: s.size, Digest: digest}, cond)
	if err != nil {
		return artifact.Stat{}, err
	}
	return st, s.Abort(ctx)
}

// Abort implements Upload.
func (s *spool) Abort(context.Context) error {
	s.Close()
	if err := os.Remove(s.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
