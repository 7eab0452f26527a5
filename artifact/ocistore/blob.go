package ocistore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/wpbake/wpbake/artifact"
)

var errOtherDigest = errors.New("the body has another digest than was said")

// upload puts an artifact's bytes into the repository, unless they are there,
// and learns the digest that they have uncompressed: an image names both.
func (s *Store) upload(ctx context.Context, body artifact.Body) error {
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(body, 0, body.Size)), nil }
	blob := artifact.Blob{Digest: body.Digest, Size: body.Size}
	layer, err := newLayer(blob, v1.Hash{}, open)
	if err != nil {
		return err
	}
	if err := s.pusher.Upload(ctx, s.repo, layer); err != nil {
		return err
	}
	_, err = s.diffID(ctx, blob, open)
	return err
}

// layer describes an artifact that is in the repository.
func (s *Store) layer(ctx context.Context, blob artifact.Blob) (v1.Layer, error) {
	open := func() (io.ReadCloser, error) { return s.blobs.open(ctx, blob, 0, blob.Size) }
	diffID, err := s.diffID(ctx, blob, open)
	if err != nil {
		return nil, err
	}
	return newLayer(blob, diffID, open)
}

// diffID returns the digest of an artifact's tar. It is computed once.
func (s *Store) diffID(ctx context.Context, blob artifact.Blob, open func() (io.ReadCloser, error)) (v1.Hash, error) {
	s.mu.Lock()
	diffID, ok := s.diffIDs[blob.Digest]
	s.mu.Unlock()
	if ok {
		return diffID, nil
	}
	compressed, err := open()
	if err != nil {
		return v1.Hash{}, err
	}
	defer compressed.Close()
	stored, plain := sha256.New(), sha256.New()
	unpacked, err := decompress(io.TeeReader(stoppable{ctx, compressed}, stored))
	if err != nil {
		return v1.Hash{}, err
	}
	defer unpacked.Close()
	if _, err := io.Copy(plain, unpacked); err != nil {
		return v1.Hash{}, fmt.Errorf("decompressing artifact: %w", err)
	}
	if artifact.DigestFromSum(stored.Sum(nil)) != blob.Digest {
		return v1.Hash{}, errOtherDigest
	}
	diffID = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(plain.Sum(nil))}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.diffIDs[blob.Digest] = diffID
	return diffID, nil
}

// stoppable ends reading with its context.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (r stoppable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// maxWindow is the largest window that an artifact's frames may have.
const maxWindow = 8 << 20

func decompress(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// blobLayer is an artifact as an image's layer.
type blobLayer struct {
	digest, diffID v1.Hash
	size           int64
	open           func() (io.ReadCloser, error)
}

func newLayer(blob artifact.Blob, diffID v1.Hash, open func() (io.ReadCloser, error)) (v1.Layer, error) {
	digest, err := v1.NewHash(string(blob.Digest))
	return &blobLayer{digest: digest, diffID: diffID, size: blob.Size, open: open}, err
}

func (l *blobLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *blobLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *blobLayer) Size() (int64, error)                { return l.size, nil }
func (l *blobLayer) MediaType() (types.MediaType, error) { return types.OCILayerZStd, nil }
func (l *blobLayer) Compressed() (io.ReadCloser, error)  { return l.open() }
func (l *blobLayer) Uncompressed() (io.ReadCloser, error) {
	compressed, err := l.open()
	if err != nil {
		return nil, err
	}
	plain, err := decompress(compressed)
	if err != nil {
		compressed.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, closers{plain, compressed}}, nil
}

type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
