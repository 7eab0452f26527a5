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

// PublishTree builds a tree as Build does and puts the artifact into a store
// while it is made: no file of it is written but the cache's. What it promises
// is what Publish promises. When the store has the version already, or its
// artifact, the tree is built all the same, to compare, and nothing is sent.
func PublishTree(ctx context.Context, store artifact.ReleaseStore, o Options) (Published, error) {
	o.Out = ""
	b, err := newBuilder(o)
	if err != nil {
		return Published{}, err
	}
	defer b.close()
	shelf := &shelf{store: store, version: b.Version}
	to := sink(shelf)
	if b.cache != nil {
		to = remembering{sink: shelf, cache: b.cache}
	}
	m, forgot, err := b.build(ctx, to)
	if err != nil {
		return Published{}, err
	}
	return Published{Digest: m.Digest(), Created: shelf.created, Forgot: forgot}, nil
}

// shelf is a version's place in a store.
type shelf struct {
	store   artifact.ReleaseStore
	version artifact.Version
	created bool // the manifest, by us
}

func (s *shelf) name(name string) string { return artifact.ReleasePrefix(s.version) + name }

func (s *shelf) holds(ctx context.Context, then *remembered) (bool, error) {
	return published(ctx, s.store, then.manifest, then.manifest.Digest())
}

func (s *shelf) begin(ctx context.Context) (pending, error) {
	d := &shelfDraft{shelf: s}
	if err := spelling(ctx, s.store, s.version); err != nil {
		return nil, err
	}
	// What is there already is compared in the end, and nothing is sent.
	for _, name := range []string{artifact.ManifestName, artifact.TarballName} {
		switch o, err := s.store.Get(ctx, s.name(name), 0, 0); {
		case err == nil:
			o.Close()
			d.Writer = io.Discard
			return d, nil
		case !errors.Is(err, artifact.ErrNotFound):
			return nil, err
		}
	}
	u, err := upload(ctx, s.store, s.name(artifact.TarballName))
	if err != nil {
		return nil, err
	}
	d.Writer, d.upload = u, u
	return d, nil
}

type shelfDraft struct {
	io.Writer
	*shelf
	upload artifact.Upload // nil when the artifact is there already
}

func (d *shelfDraft) commit(ctx context.Context, m artifact.Manifest, sbom []byte) error {
	if done, err := published(ctx, d.store, m, m.Digest()); err != nil {
		return err
	} else if done {
		return d.sweep(ctx)
	}
	if err := d.commitArtifact(ctx, m); err != nil {
		return err
	}
	if err := d.sweep(ctx); err != nil {
		return err
	}
	if m.SBOM != nil {
		body := artifact.Body{ReaderAt: bytes.NewReader(sbom), Size: m.SBOM.Size, Digest: m.SBOM.Digest}
		if err := put(ctx, d.store, m, artifact.SBOMName, body); err != nil {
			return err
		}
	}
	raw := m.Marshal()
	if err := put(ctx, d.store, m, artifact.ManifestName, artifact.Body{ReaderAt: bytes.NewReader(raw), Size: int64(len(raw)), Digest: artifact.DigestOf(raw)}); err != nil {
		return err
	}
	d.created = true
	return nil
}

func (d *shelfDraft) sweep(ctx context.Context) error {
	return sweep(ctx, d.store, d.name(artifact.TarballName))
}

func (d *shelfDraft) commitArtifact(ctx context.Context, m artifact.Manifest) error {
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
func (d *shelfDraft) compare(ctx context.Context, m artifact.Manifest) error {
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

func (d *shelfDraft) local() (string, error) { return "", errors.New("the artifact is in a store") }

// discard has its own time: it cleans up after an interrupt too.
func (d *shelfDraft) discard() {
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
