package fetch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/scratch"
)

// Members are files of a published version that another release takes over. They
// are read from the store, all at once, when the first of them is opened: a
// release whose frames are known already reads none.
type Members struct {
	store    artifact.ReleaseStore
	manifest artifact.Manifest
	files    []artifact.File

	once sync.Once
	own  *scratch.Dir // holds the files once they were read
	err  error        // why they could not be read
}

// NewMembers chooses files of a version, as Files lists them. The caller closes
// them.
func NewMembers(store artifact.ReleaseStore, m artifact.Manifest, files []artifact.File) *Members {
	return &Members{store: store, manifest: m, files: files}
}

// Over adds the files to an overlay.
func (s *Members) Over(o *tree.Overlay) error {
	for _, f := range s.files {
		m := artifact.Member{Path: f.Path, Kind: artifact.KindFile, Size: f.Size}
		if _, err := hex.Decode(m.Sum[:], []byte(f.Digest.Hex())); err != nil {
			return fmt.Errorf("reading digest of %q: %w", f.Path, err)
		}
		o.Add(m, member{s, f.Path})
	}
	return nil
}

// Close removes what was read.
func (s *Members) Close() error {
	if s.own == nil {
		return nil
	}
	return s.own.Remove()
}

func (s *Members) read(ctx context.Context) {
	if s.own, s.err = scratch.New("", "wpbake-scratch-"); s.err == nil {
		s.err = Extract(ctx, s.store, s.manifest, s.files, s.own.Path)
	}
}

// member is one of them.
type member struct {
	of   *Members
	path string
}

// Open implements tree.Content.
func (m member) Open(ctx context.Context) (io.ReadCloser, error) {
	m.of.once.Do(func() { m.of.read(ctx) })
	if m.of.err != nil {
		return nil, fmt.Errorf("reading files of %q: %w", m.of.manifest.Version, m.of.err)
	}
	f, err := os.Open(filepath.Join(m.of.own.Path, filepath.FromSlash(m.path)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading files of %q: %q is not among them", m.of.manifest.Version, m.path)
	}
	return f, err
}
