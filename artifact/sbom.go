package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// SBOM returns a published version's bill of materials, compared with the
// manifest that names it; nil when it names none.
func SBOM(ctx context.Context, store ReleaseStore, m Manifest) ([]byte, error) {
	if m.SBOM == nil {
		return nil, nil
	}
	name := ReleasePrefix(m.Version) + sbomName
	obj, err := store.Get(ctx, name, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return nil, damaged(name, "the manifest names it, but it is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("reading bill of materials of %q: %w", m.Version, err)
	}
	defer obj.Close()
	return readSBOM(obj, name, m)
}

// readSBOM reads no more than the manifest says, and refuses anything else.
func readSBOM(r io.Reader, name string, m Manifest) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, m.SBOM.Size+1))
	if err != nil {
		return nil, fmt.Errorf("reading bill of materials of %q: %w", m.Version, err)
	}
	if DigestOf(b) != m.SBOM.Digest || int64(len(b)) != m.SBOM.Size {
		return nil, unread(name, "it has another digest than the manifest says")
	}
	return b, nil
}

func sbomBlob(b []byte) *Blob {
	if len(b) == 0 {
		return nil
	}
	return &Blob{Digest: DigestOf(b), Size: int64(len(b))}
}

// writeDocuments writes what stands beside the artifact.
func writeDocuments(dir string, m Manifest, sbom []byte) error {
	if m.SBOM != nil {
		if err := writeSynced(filepath.Join(dir, sbomName), sbom); err != nil {
			return err
		}
	}
	return writeSynced(filepath.Join(dir, manifestName), m.Marshal())
}

// standsSBOM tells whether a version's folder on disk holds the bill of
// materials that the manifest names, or none if it names none.
func standsSBOM(dir string, m Manifest) bool {
	f, err := os.Open(filepath.Join(dir, sbomName))
	if err != nil {
		return m.SBOM == nil && errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	if m.SBOM == nil {
		return false
	}
	_, err = readSBOM(f, sbomName, m)
	return err == nil
}

// putSBOM publishes the bill of materials of a version's folder on disk.
func putSBOM(ctx context.Context, store ReleaseStore, m Manifest, dir string) error {
	if m.SBOM == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, sbomName))
	if err != nil {
		return fmt.Errorf("reading bill of materials: %w", err)
	}
	defer f.Close()
	b, err := readSBOM(f, sbomName, m)
	if err != nil {
		return err
	}
	return put(ctx, store, m, sbomName, Body{ReaderAt: bytes.NewReader(b), Size: m.SBOM.Size, Digest: m.SBOM.Digest})
}
