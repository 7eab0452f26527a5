package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// SBOM returns a published version's bill of materials, compared with the
// manifest that names it; nil when it names none.
func SBOM(ctx context.Context, store ReleaseStore, m Manifest) ([]byte, error) {
	if m.SBOM == nil {
		return nil, nil
	}
	name := ReleasePrefix(m.Version) + SBOMName
	obj, err := store.Get(ctx, name, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return nil, Damagef(name, "the manifest names it, but it is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("reading bill of materials of %q: %w", m.Version, err)
	}
	defer obj.Close()
	return ReadSBOM(obj, name, m)
}

// ReadSBOM reads no more than the manifest says, and refuses anything else.
func ReadSBOM(r io.Reader, name string, m Manifest) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, m.SBOM.Size+1))
	if err != nil {
		return nil, fmt.Errorf("reading bill of materials of %q: %w", m.Version, err)
	}
	if DigestOf(b) != m.SBOM.Digest || int64(len(b)) != m.SBOM.Size {
		return nil, Unreadf(name, "it has another digest than the manifest says")
	}
	return b, nil
}
