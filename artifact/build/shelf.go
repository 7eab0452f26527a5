package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Shelf puts releases into a store while they are made.
func Shelf(store artifact.ReleaseStore) Sink { return shelf{store} }

// shelf is a store that releases are put into.
type shelf struct{ store artifact.ReleaseStore }

func (s shelf) folder(artifact.Version) string { return "" }

func (s shelf) holds(ctx context.Context, last *remembered) (bool, error) {
	return published(ctx, s.store, last.manifest, last.manifest.Digest())
}

func (s shelf) begin(ctx context.Context, b *Builder) (pending, error) {
	d, err := s.open(ctx, b.Version)
	if err != nil {
		return nil, err
	}
	return copied(d, b.cache), nil
}

func (s shelf) open(ctx context.Context, v artifact.Version) (*pendingUpload, error) {
	d := &pendingUpload{store: s.store, version: v}
	if err := spelling(ctx, s.store, v); err != nil {
		return nil, err
	}
	// What is there already is compared in the end, and nothing is sent.
	for _, name := range []string{artifact.ManifestName, artifact.TarballName} {
		switch o, err := s.store.Get(ctx, d.name(name), 0, 0); {
		case err == nil:
			o.Close()
			d.Writer = io.Discard
			return d, nil
		case !errors.Is(err, artifact.ErrNotFound):
			return nil, err
		}
	}
	u, err := upload(ctx, s.store, d.name(artifact.TarballName))
	if err != nil {
		return nil, err
	}
	d.Writer, d.upload = u, u
	return d, nil
}

// pendingUpload is a version on its way into a store.
type pendingUpload struct {
	io.Writer
	store   artifact.ReleaseStore
	version artifact.Version
	upload  artifact.Upload // nil when the artifact is there already
}

func (d *pendingUpload) name(name string) string { return artifact.ReleasePrefix(d.version) + name }

func (d *pendingUpload) commit(ctx context.Context, m artifact.Manifest, sbom []byte) (bool, error) {
	if done, err := published(ctx, d.store, m, m.Digest()); err != nil {
		return false, err
	} else if done {
		return false, d.sweep(ctx)
	}
	if err := d.commitArtifact(ctx, m); err != nil {
		return false, err
	}
	if err := d.sweep(ctx); err != nil {
		return false, err
	}
	if m.SBOM != nil {
		body := artifact.Body{ReaderAt: bytes.NewReader(sbom), Size: m.SBOM.Size, Digest: m.SBOM.Digest}
		if err := put(ctx, d.store, m, artifact.SBOMName, body); err != nil {
			return false, err
		}
	}
	raw := m.Marshal()
	if err := put(ctx, d.store, m, artifact.ManifestName, artifact.Body{ReaderAt: bytes.NewReader(raw), Size: int64(len(raw)), Digest: artifact.DigestOf(raw)}); err != nil {
		return false, err
	}
	return true, nil
}

func (d *pendingUpload) sweep(ctx context.Context) error {
	return sweep(ctx, d.store, d.name(artifact.TarballName))
}

func (d *pendingUpload) commitArtifact(ctx context.Context, m artifact.Manifest) error {
	if d.upload == nil {
		return d.compare(ctx, m)
	}
	_, err := d.upload.Commit(ctx, m.Artifact.Digest, artifact.Condition{Absent: true})
	if errors.Is(err, artifact.ErrExists) {
		return taken(ctx, d.store, m)
	}
	if err == nil {
		d.upload = nil
	}
	return err
}

// compare reads the artifact that an unfinished publication left.
func (d *pendingUpload) compare(ctx context.Context, m artifact.Manifest) error {
	o, err := d.store.Get(ctx, d.name(artifact.TarballName), 0, -1)
	if err != nil {
		return err
	}
	defer o.Close()
	sum := sha256.New()
	if o.Size == m.Artifact.Size {
		if _, err := io.Copy(sum, o); err != nil {
			return fmt.Errorf("reading artifact: %w", err)
		}
	}
	if artifact.DigestFromSum(sum.Sum(nil)) != m.Artifact.Digest {
		return taken(ctx, d.store, m)
	}
	return nil
}

func (d *pendingUpload) local() (string, error) { return "", errors.New("the artifact is in a store") }

// discard has its own time: it cleans up after an interrupt too.
func (d *pendingUpload) discard() {
	if d.upload == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d.upload.Abort(ctx)
}

// spelling refuses a version that is there in other letters' case.
func spelling(ctx context.Context, store artifact.ReleaseStore, version artifact.Version) error {
	versions, err := artifact.Versions(ctx, store)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v != version && strings.EqualFold(string(v), string(version)) {
			return &artifact.VersionTaken{Version: version, Taken: v}
		}
	}
	return nil
}
