package artifact

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// memoryStore is a store of objects in memory, which anybody may have written.
type memoryStore map[string][]byte

func (s memoryStore) Get(_ context.Context, name string, off, n int64) (*Object, error) {
	b, ok := s[name]
	if !ok {
		return nil, ErrNotFound
	}
	part := b[min(off, int64(len(b))):]
	if n >= 0 {
		part = part[:min(n, int64(len(part)))]
	}
	return &Object{ReadCloser: io.NopCloser(bytes.NewReader(part)), Stat: Stat{Name: name, Size: int64(len(b))}}, nil
}

func (s memoryStore) Put(context.Context, string, Body, Condition) (Stat, error) {
	return Stat{}, errors.ErrUnsupported
}

func (s memoryStore) List(context.Context, string) ([]Stat, error) { return nil, errors.ErrUnsupported }

func (s memoryStore) Delete(context.Context, string, Condition) error { return errors.ErrUnsupported }

const (
	blobName = "releases/v1/" + artifactName
	docName  = "releases/v1/" + manifestName
)
