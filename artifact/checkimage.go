package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// CheckImage compares an image file with its manifest: every byte of it, read
// once. What differs is *Damaged.
func CheckImage(ctx context.Context, name string, m Manifest) error {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() != m.Image.Size {
		return damaged(filepath.Base(name), "it is not a file of %d bytes, as the manifest says", m.Image.Size)
	}
	return checkImage(ctx, f, filepath.Base(name), m.Image)
}

// CheckVolume compares the image at the beginning of a disk, or of a file that
// stands for one, with its digest: every byte of it that the file system can
// reach. What differs is *Damaged.
func CheckVolume(ctx context.Context, device string, want Digest) error {
	f, err := os.Open(device)
	if err != nil {
		return fmt.Errorf("reading release volume: %w", err)
	}
	defer f.Close()
	label := filepath.Base(device)
	size, err := erofs.ReadSize(f)
	if err != nil {
		return damaged(label, "%v", err)
	}
	return checkImage(ctx, f, label, Blob{Digest: want, Size: size})
}
