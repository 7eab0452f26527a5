package artifacttest

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/wpbake/wpbake/artifact"
)

// Memory is a store of objects in memory, which anybody may have written.
type Memory map[string][]byte

// Get reads as a store does.
func (s Memory) Get(_ context.Context, name string, off, n int64) (*artifact.Object, error) {
	b, ok := s[name]
	if !ok {
		return nil, artifact.ErrNotFound
	}
	part := b[min(off, int64(len(b))):]
	if n >= 0 {
		part = part[:min(n, int64(len(part)))]
	}
	return &artifact.Object{ReadCloser: io.NopCloser(bytes.NewReader(part)), Stat: artifact.Stat{Name: name, Size: int64(len(b))}}, nil
}

// Put is unsupported.
func (s Memory) Put(context.Context, string, artifact.Body, artifact.Condition) (artifact.Stat, error) {
	return artifact.Stat{}, errors.ErrUnsupported
}

// List is unsupported.
func (s Memory) List(context.Context, string) ([]artifact.Stat, error) {
	return nil, errors.ErrUnsupported
}

// Delete is unsupported.
func (s Memory) Delete(context.Context, string, artifact.Condition) error {
	return errors.ErrUnsupported
}

const (
	TarballObject  = "releases/v1/" + artifact.TarballName
	ManifestObject = "releases/v1/" + artifact.ManifestName
)
