package artifact

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// Verify reads a published version whole and compares everything: the
// manifest with digest (empty takes the store's), the artifact's digest, the
// index, each frame, each file, the bill of materials. It writes nothing. Bytes that are not the
// release's are *Damaged.
func Verify(ctx context.Context, store ReleaseStore, v Version, digest Digest) (Manifest, error) {
	raw, err := manifestBytes(ctx, store, v)
	if err != nil {
		return Manifest{}, err
	}
	m, err := pinnedManifest(v, digest, raw)
	if err != nil {
		return Manifest{}, err
	}
	if err := verifyArtifact(ctx, store, m); err != nil {
		return Manifest{}, err
	}
	if _, err := SBOM(ctx, store, m); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

func verifyArtifact(ctx context.Context, store ReleaseStore, m Manifest) error {
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return err
	}
	name := ReleasePrefix(m.Version) + artifactName
	sections, err := x.sections()
	if err != nil {
		return err
	}
	u := newUnpacker(name, x)
	plain, err := u.reader()
	if err != nil {
		return err
	}
	defer plain.Close()
	body := newRangeReader(ctx, store, m, 0, m.Artifact.Size)
	defer body.Close()
	blob := sha256.New()
	hashed := io.TeeReader(body, blob)
	for _, s := range sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain.reset(hashed, s.frame, s.frame+s.frames)
		if err := u.section(plain, s, discard{}); err != nil {
			return err
		}
	}
	if err := u.trailer(plain, hashed, newCounter(nil, "", 0)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return fmt.Errorf("reading artifact: %w", err)
	}
	if DigestFromSum(blob.Sum(nil)) != m.Artifact.Digest {
		return unread(name, "it has another digest than the manifest says")
	}
	return u.finish(m)
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) file(int, *entry) (io.WriteCloser, error) { return discard{}, nil }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (discard) Close() error { return nil }
