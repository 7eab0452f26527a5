package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
)

func sbomBlob(b []byte) *artifact.Blob {
	if len(b) == 0 {
		return nil
	}
	return &artifact.Blob{Digest: artifact.DigestOf(b), Size: int64(len(b))}
}

// writeDocuments writes what stands beside the artifact.
func writeDocuments(dir string, m artifact.Manifest, sbom []byte) error {
	if m.SBOM != nil {
		if err := writeSynced(filepath.Join(dir, artifact.SBOMName), sbom); err != nil {
			return err
		}
	}
	return writeSynced(filepath.Join(dir, artifact.ManifestName), m.Marshal())
}

// standsSBOM tells whether a version's folder on disk holds the bill of
// materials that the manifest names, or none if it names none.
func standsSBOM(dir string, m artifact.Manifest) bool {
	f, err := os.Open(filepath.Join(dir, artifact.SBOMName))
	if err != nil {
		return m.SBOM == nil && errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	if m.SBOM == nil {
		return false
	}
	_, err = artifact.ReadSBOM(f, artifact.SBOMName, m)
	return err == nil
}

// putSBOM publishes the bill of materials of a version's folder on disk.
func putSBOM(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, dir string) error {
	if m.SBOM == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, artifact.SBOMName))
	if err != nil {
		return fmt.Errorf("reading bill of materials: %w", err)
	}
	defer f.Close()
	b, err := artifact.ReadSBOM(f, artifact.SBOMName, m)
	if err != nil {
		return err
	}
	return put(ctx, store, m, artifact.SBOMName, artifact.Body{ReaderAt: bytes.NewReader(b), Size: m.SBOM.Size, Digest: m.SBOM.Digest})
}
