package ocistore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
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
	open := func() (io.ReadCloser, error) { return s.blob(ctx, blob, 0, blob.Size) }
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

// blob opens n bytes of a blob. A registry that knows no ranges sends the
// whole, which is kept in a nameless file then: it is not sent again for the
// next range.
func (s *Store) blob(ctx context.Context, b artifact.Blob, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	if f := s.spooled(b.Digest); f != nil {
		return f.section(off, n), nil
	}
	client, err := s.ranged(ctx)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: s.repo.Scheme(), Host: s.repo.RegistryStr(), Path: "/v2/" + s.repo.RepositoryStr() + "/blobs/" + string(b.Digest)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if n < b.Size {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		resp.Body.Close()
		if missing(err) {
			return nil, artifact.ErrNotFound
		}
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-%d/", off, off+n-1)) {
			resp.Body.Close()
			return nil, fmt.Errorf("the registry answers with range %q, not with bytes %d-%d", got, off, off+n-1)
		}
		return resp.Body, nil
	case n == b.Size:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	f, err := s.spool(resp.Body, b)
	if err != nil {
		return nil, err
	}
	return f.section(off, n), nil
}

// ranged returns the client for blobs. Its token lasts for all of them.
func (s *Store) ranged(ctx context.Context) (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	auth, err := authn.Resolve(ctx, s.keychain, s.repo)
	if err != nil {
		return nil, err
	}
	rt := transport.NewUserAgent(transport.NewRetry(s.transport), "wpbake")
	if rt, err = transport.NewWithContext(ctx, s.repo.Registry, auth, rt, []string{s.repo.Scope(transport.PullScope)}); err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: rt}
	return s.client, nil
}

// spool is a blob on this machine's disk, in a file without a name.
type spool struct{ f *os.File }

func (f *spool) section(off, n int64) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(f.f, off, n))
}

func (s *Store) spooled(d artifact.Digest) *spool {
	s.spooling.Lock()
	defer s.spooling.Unlock()
	return s.spools[d]
}

// spool keeps a whole blob that a registry is sending. Whoever else wants it
// meanwhile waits here.
func (s *Store) spool(body io.Reader, b artifact.Blob) (*spool, error) {
	s.spooling.Lock()
	defer s.spooling.Unlock()
	if f := s.spools[b.Digest]; f != nil {
		return f, nil
	}
	f, err := os.CreateTemp("", "wpbake-blob-*")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, b.Size+1))
	if err == nil && artifact.DigestFromSum(sum.Sum(nil)) != b.Digest {
		err = &artifact.Damaged{Name: string(b.Digest), Reason: "the registry sends other bytes under this digest"}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, err
	}
	s.spools[b.Digest] = &spool{f}
	return s.spools[b.Digest], nil
}

// Close frees what the store keeps on this machine's disk.
func (s *Store) Close() error {
	s.spooling.Lock()
	defer s.spooling.Unlock()
	var errs []error
	for d, f := range s.spools {
		errs = append(errs, f.f.Close())
		delete(s.spools, d)
	}
	return errors.Join(errs...)
}
