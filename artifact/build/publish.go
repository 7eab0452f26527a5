package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// Published says what Publish did.
type Published struct {
	Digest  artifact.Digest // the manifest's
	Created bool            // false when the version was there already, with equal bytes
	Forgot  error           // why PublishTree remembered nothing in the cache
}

// Publish puts what Build wrote into dir into a store: the artifact first,
// then the bill of materials, the manifest last, neither over anything else. The manifest's existence is
// the publication. A version that is published with equal bytes is left as it
// is; other bytes, or a name that differs only in case, are *VersionTaken.
// progress may be nil.
func Publish(ctx context.Context, store artifact.ReleaseStore, dir string, progress func(artifact.Progress)) (Published, error) {
	m, raw, err := readRelease(dir)
	if err != nil {
		return Published{}, err
	}
	digest := artifact.DigestOf(raw)
	done, err := published(ctx, store, m, digest)
	if err != nil || done {
		return Published{Digest: digest}, err
	}
	f, err := os.Open(filepath.Join(dir, artifact.TarballName))
	if err != nil {
		return Published{}, fmt.Errorf("reading artifact: %w", err)
	}
	defer f.Close()
	if err := checkBlob(ctx, m, f); err != nil {
		return Published{}, err
	}
	count := artifact.NewCounter(progress, "publishing", m.Artifact.Size)
	blob := artifact.Body{ReaderAt: countedReader{f, count}, Size: m.Artifact.Size, Digest: m.Artifact.Digest}
	if err := put(ctx, store, m, artifact.TarballName, blob); err != nil {
		return Published{}, err
	}
	count.Reach(m.Artifact.Size)
	if err := putSBOM(ctx, store, m, dir); err != nil {
		return Published{}, err
	}
	body := artifact.Body{ReaderAt: strings.NewReader(string(raw)), Size: int64(len(raw)), Digest: digest}
	if err := put(ctx, store, m, artifact.ManifestName, body); err != nil {
		return Published{}, err
	}
	return Published{Digest: digest, Created: true}, nil
}

// readRelease reads the manifest of a version's folder on disk.
func readRelease(dir string) (artifact.Manifest, []byte, error) {
	f, err := os.Open(filepath.Join(dir, artifact.ManifestName))
	if err != nil {
		return artifact.Manifest{}, nil, fmt.Errorf("reading manifest: %w", err)
	}
	defer f.Close()
	raw, err := artifact.ReadManifest(f)
	if err != nil {
		return artifact.Manifest{}, nil, fmt.Errorf("reading manifest: %w", err)
	}
	m, err := artifact.ParseManifest(raw)
	return m, raw, err
}

// published looks whether the version is there, under any spelling.
func published(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, digest artifact.Digest) (bool, error) {
	if err := spelling(ctx, store, m.Version); err != nil {
		return false, err
	}
	raw, err := artifact.ManifestBytes(ctx, store, m.Version)
	if errors.Is(err, artifact.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if have := artifact.DigestOf(raw); have != digest {
		return false, &artifact.VersionTaken{Version: m.Version, Taken: m.Version, Want: digest, Have: have}
	}
	return true, nil
}

// put writes one object that must not be there with other bytes.
func put(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, name string, body artifact.Body) error {
	_, err := store.Put(ctx, artifact.ReleasePrefix(m.Version)+name, body, artifact.Condition{Absent: true})
	if !errors.Is(err, artifact.ErrExists) {
		return err
	}
	return taken(ctx, store, m)
}

// taken says by whom a version's name is taken, as far as it can be found out.
func taken(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) error {
	e := &artifact.VersionTaken{Version: m.Version, Taken: m.Version, Want: m.Digest()}
	if raw, err := artifact.ManifestBytes(ctx, store, m.Version); err == nil {
		e.Have = artifact.DigestOf(raw)
	}
	return e
}

// checkBlob reads the whole artifact once: what is published is what the
// manifest says.
func checkBlob(ctx context.Context, m artifact.Manifest, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	if err := artifact.CheckSize(m, artifact.TarballName, info.Size()); err != nil {
		return err
	}
	if err := fetch.SumBlob(ctx, f, m); err != nil {
		return err
	}
	tail := make([]byte, m.Artifact.Size-m.Index.Offset)
	if _, err := f.ReadAt(tail, m.Index.Offset); err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	_, err = artifact.ReadTail(m, artifact.TarballName, tail)
	return err
}

// countedReader counts what a store reads of a body, which it may read twice.
type countedReader struct {
	io.ReaderAt
	c *artifact.Counter
}

func (r countedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.c.Reach(off + int64(n))
	return n, err
}
