package fetch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/wpbake/wpbake/artifact"
)

// Verify reads a published version whole and compares everything: the
// manifest with digest (empty takes the store's), the artifact's digest, the
// index, each frame, each file, the bill of materials. It writes nothing. Bytes that are not the
// release's are *Damaged.
func Verify(ctx context.Context, store artifact.ReleaseStore, v artifact.Version, digest artifact.Digest) (artifact.Manifest, error) {
	m, _, err := artifact.FindPinned(ctx, store, v, digest)
	if err != nil {
		return artifact.Manifest{}, err
	}
	if err := verifyArtifact(ctx, store, m); err != nil {
		return artifact.Manifest{}, err
	}
	if _, err := artifact.SBOM(ctx, store, m); err != nil {
		return artifact.Manifest{}, err
	}
	return m, nil
}

func verifyArtifact(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) error {
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return err
	}
	name := artifact.ReleasePrefix(m.Version) + artifact.TarballName
	sections, err := x.All()
	if err != nil {
		return err
	}
	u := newUnpacker(name, x)
	r, err := u.reader(discard{})
	if err != nil {
		return err
	}
	defer r.close()
	body := newRangeReader(ctx, store, m, 0, m.Artifact.Size)
	defer body.Close()
	blob := sha256.New()
	hashed := io.TeeReader(body, blob)
	for _, s := range sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.section(s, sequential(hashed)); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	if artifact.DigestFromSum(blob.Sum(nil)) != m.Artifact.Digest {
		return artifact.Unreadf(name, "it has another digest than the manifest says")
	}
	return u.finish(m)
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) write(int, int64, []byte) error { return nil }

func (discard) end(int) error { return nil }

func (discard) flush() error { return nil }

func (discard) close() {}
