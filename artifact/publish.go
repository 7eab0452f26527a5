package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Published says what Publish did.
type Published struct {
	Digest  Digest // the manifest's
	Created bool   // false when the version was there already, with equal bytes
	Forgot  error  // why PublishTree remembered nothing in the cache
}

// Publish puts what Build wrote into dir into a store: the artifact first,
// then the bill of materials, the manifest last, neither over anything else. The manifest's existence is
// the publication. A version that is published with equal bytes is left as it
// is; other bytes, or a name that differs only in case, are *VersionTaken.
// progress may be nil.
func Publish(ctx context.Context, store ReleaseStore, dir string, progress func(Progress)) (Published, error) {
	m, raw, err := readRelease(dir)
	if err != nil {
		return Published{}, err
	}
	digest := DigestOf(raw)
	done, err := published(ctx, store, m, digest)
	if err != nil || done {
		return Published{Digest: digest}, err
	}
	f, err := os.Open(filepath.Join(dir, artifactName))
	if err != nil {
		return Published{}, fmt.Errorf("reading artifact: %w", err)
	}
	defer f.Close()
	if err := checkBlob(ctx, m, f); err != nil {
		return Published{}, err
	}
	count := newCounter(progress, "publishing", m.Artifact.Size)
	blob := Body{ReaderAt: countedReader{f, count}, Size: m.Artifact.Size, Digest: m.Artifact.Digest}
	if err := put(ctx, store, m, artifactName, blob); err != nil {
		return Published{}, err
	}
	count.reach(m.Artifact.Size)
	if err := putSBOM(ctx, store, m, dir); err != nil {
		return Published{}, err
	}
	body := Body{ReaderAt: strings.NewReader(string(raw)), Size: int64(len(raw)), Digest: digest}
	if err := put(ctx, store, m, manifestName, body); err != nil {
		return Published{}, err
	}
	return Published{Digest: digest, Created: true}, nil
}

// readRelease reads the manifest of a version's folder on disk.
func readRelease(dir string) (Manifest, []byte, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("reading manifest: %w", err)
	}
	defer f.Close()
	raw, err := readManifest(f)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("reading manifest: %w", err)
	}
	m, err := ParseManifest(raw)
	return m, raw, err
}

// published looks whether the version is there, under any spelling.
func published(ctx context.Context, store ReleaseStore, m Manifest, digest Digest) (bool, error) {
	if err := spelling(ctx, store, m.Version); err != nil {
		return false, err
	}
	raw, err := manifestBytes(ctx, store, m.Version)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if have := DigestOf(raw); have != digest {
		return false, &VersionTaken{Version: m.Version, Taken: m.Version, Want: digest, Have: have}
	}
	return true, nil
}

// put writes one object that must not be there with other bytes.
func put(ctx context.Context, store ReleaseStore, m Manifest, name string, body Body) error {
	_, err := store.Put(ctx, ReleasePrefix(m.Version)+name, body, Condition{Absent: true})
	if !errors.Is(err, ErrExists) {
		return err
	}
	return taken(ctx, store, m)
}

// taken says by whom a version's name is taken, as far as it can be found out.
func taken(ctx context.Context, store ReleaseStore, m Manifest) error {
	e := &VersionTaken{Version: m.Version, Taken: m.Version, Want: m.Digest()}
	if raw, err := manifestBytes(ctx, store, m.Version); err == nil {
		e.Have = DigestOf(raw)
	}
	return e
}

// checkBlob reads the whole artifact once: what is published is what the
// manifest says.
func checkBlob(ctx context.Context, m Manifest, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	if err := checkSize(m, artifactName, info.Size()); err != nil {
		return err
	}
	if err := sumBlob(ctx, f, m); err != nil {
		return err
	}
	tail := make([]byte, m.Artifact.Size-m.Index.Offset)
	if _, err := f.ReadAt(tail, m.Index.Offset); err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	_, err = readTail(m, artifactName, tail)
	return err
}

// countedReader counts what a store reads of a body, which it may read twice.
type countedReader struct {
	io.ReaderAt
	c *counter
}

func (r countedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.c.reach(off + int64(n))
	return n, err
}
