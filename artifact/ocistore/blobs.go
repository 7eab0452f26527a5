package ocistore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wpbake/wpbake/artifact"
)

// blobs reads a repository's blobs by ranges.
type blobs struct {
	repo      name.Repository
	keychain  authn.Keychain
	transport http.RoundTripper

	mu     sync.Mutex
	client *http.Client // nil until the first

	spooling sync.Mutex
	spools   map[artifact.Digest]*spool
}

// open opens n bytes of a blob. A registry that knows no ranges sends the
// whole, which is kept in a nameless file then: it is not sent again for the
// next range.
func (b *blobs) open(ctx context.Context, blob artifact.Blob, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	if f := b.spooled(blob.Digest); f != nil {
		return f.section(off, n), nil
	}
	client, err := b.ranged(ctx)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: b.repo.Scheme(), Host: b.repo.RegistryStr(), Path: "/v2/" + b.repo.RepositoryStr() + "/blobs/" + string(blob.Digest)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if n < blob.Size {
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
	case n == blob.Size:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	f, err := b.spool(resp.Body, blob)
	if err != nil {
		return nil, err
	}
	return f.section(off, n), nil
}

// ranged returns the client for blobs. Its token lasts for all of them.
func (b *blobs) ranged(ctx context.Context) (*http.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		return b.client, nil
	}
	auth, err := authn.Resolve(ctx, b.keychain, b.repo)
	if err != nil {
		return nil, err
	}
	rt := transport.NewUserAgent(transport.NewRetry(b.transport), "wpbake")
	if rt, err = transport.NewWithContext(ctx, b.repo.Registry, auth, rt, []string{b.repo.Scope(transport.PullScope)}); err != nil {
		return nil, err
	}
	b.client = &http.Client{Transport: rt}
	return b.client, nil
}

// spool is a blob on this machine's disk, in a file without a name.
type spool struct{ f *os.File }

func (f *spool) section(off, n int64) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(f.f, off, n))
}

func (b *blobs) spooled(d artifact.Digest) *spool {
	b.spooling.Lock()
	defer b.spooling.Unlock()
	return b.spools[d]
}

// spool keeps a whole blob that a registry is sending. Whoever else wants it
// meanwhile waits here.
func (b *blobs) spool(body io.Reader, blob artifact.Blob) (*spool, error) {
	b.spooling.Lock()
	defer b.spooling.Unlock()
	if f := b.spools[blob.Digest]; f != nil {
		return f, nil
	}
	f, err := os.CreateTemp("", "wpbake-blob-*")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, blob.Size+1))
	if err == nil && artifact.DigestFromSum(sum.Sum(nil)) != blob.Digest {
		err = &artifact.Damaged{Name: string(blob.Digest), Reason: "the registry sends other bytes under this digest"}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, err
	}
	b.spools[blob.Digest] = &spool{f}
	return b.spools[blob.Digest], nil
}

// close frees what is kept on this machine's disk.
func (b *blobs) close() error {
	b.spooling.Lock()
	defer b.spooling.Unlock()
	var errs []error
	for d, f := range b.spools {
		errs = append(errs, f.f.Close())
		delete(b.spools, d)
	}
	return errors.Join(errs...)
}
