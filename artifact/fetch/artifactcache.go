package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
)

// artifactCache writes the artifact itself, frame by frame in any order.
type artifactCache struct {
	dest string
	file *os.File
}

// newArtifactCache begins to write dest.partial. Two that keep under one name at once
// do not mix: the second is refused.
func newArtifactCache(dest string) (*artifactCache, error) {
	dest, err := filepath.Abs(dest)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dest+partial, os.O_RDWR|os.O_CREATE|tree.OpenFlags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("keeping artifact: %w", err)
	}
	k := &artifactCache{dest: dest, file: f}
	if err := k.claim(); err != nil {
		f.Close()
		return nil, fmt.Errorf("keeping artifact: %w", err)
	}
	return k, nil
}

var errKeeping = errors.New("another fetch is writing it")

// claim locks the file, which nobody may have renamed meanwhile, and empties it.
func (k *artifactCache) claim() error {
	ok, err := lockFile(k.file)
	if err != nil {
		return err
	}
	mine, err := k.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(k.dest + partial)
	if !ok || err != nil || !os.SameFile(mine, named) {
		return fmt.Errorf("%q: %w", k.dest, errKeeping)
	}
	return k.file.Truncate(0)
}

func (k *artifactCache) write(b []byte, off int64) error {
	if _, err := k.file.WriteAt(b, off); err != nil {
		return fmt.Errorf("keeping artifact: %w", err)
	}
	return nil
}

// keeping writes frames as they come.
func (k *artifactCache) keeping(from frames) frames {
	return func(at artifact.Located, b []byte) ([]byte, error) {
		b, err := from(at, b)
		if err != nil {
			return nil, err
		}
		return b, k.write(b, at.Offset)
	}
}

// commit gives the file its name. It is not synced: who uses it later compares
// every byte again.
func (k *artifactCache) commit() error {
	if err := os.Rename(k.dest+partial, k.dest); err != nil {
		return fmt.Errorf("keeping artifact: %w", err)
	}
	k.file.Close()
	k.file = nil
	return nil
}

// close removes what was not revealed.
func (k *artifactCache) close() {
	if k.file != nil {
		os.Remove(k.dest + partial)
		k.file.Close()
	}
}

// holdsBlob tells whether a file is the artifact.
func holdsBlob(ctx context.Context, name string, m artifact.Manifest) bool {
	f, err := os.OpenFile(name, tree.OpenFlags, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Size() == m.Artifact.Size && SumBlob(ctx, f, m) == nil
}

// sumChunk is what is summed between two looks at the context.
const sumChunk = 2 << 20

// SumBlob reads the whole artifact once: it is what the manifest says.
func SumBlob(ctx context.Context, f io.ReaderAt, m artifact.Manifest) error {
	sum := sha256.New()
	for off := int64(0); off < m.Artifact.Size; off += sumChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.Copy(sum, io.NewSectionReader(f, off, min(sumChunk, m.Artifact.Size-off))); err != nil {
			return fmt.Errorf("reading artifact: %w", err)
		}
	}
	if artifact.DigestFromSum(sum.Sum(nil)) != m.Artifact.Digest {
		return artifact.Unreadf(artifact.TarballName, "it has another digest than the manifest says")
	}
	return nil
}
