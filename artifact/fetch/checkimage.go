package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/artifact/tree"
)

// CheckImage compares an image file with its manifest: every byte of it, read
// once. What differs is *Damaged.
func CheckImage(ctx context.Context, name string, m artifact.Manifest) error {
	f, err := os.OpenFile(name, tree.OpenFlags, 0)
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() != m.Image.Size {
		return artifact.Damagef(filepath.Base(name), "it is not a file of %d bytes, as the manifest says", m.Image.Size)
	}
	return imagefs.Check(ctx, f, filepath.Base(name), m.Image)
}

// CheckVolume compares the image at the beginning of a disk, or of a file that
// stands for one, with its digest: every byte of it that the file system can
// reach. What differs is *Damaged.
func CheckVolume(ctx context.Context, device string, want artifact.Digest) error {
	f, err := os.Open(device)
	if err != nil {
		return fmt.Errorf("reading release volume: %w", err)
	}
	defer f.Close()
	label := filepath.Base(device)
	size, err := erofs.ReadSize(f)
	if err != nil {
		return artifact.Damagef(label, "%v", err)
	}
	return imagefs.Check(ctx, f, label, artifact.Blob{Digest: want, Size: size})
}
