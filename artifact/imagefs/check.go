package imagefs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
	"golang.org/x/sync/errgroup"
)

// Check compares an image with its digest and size: every byte of it, read once.
// What differs is *artifact.Damaged under the label.
func Check(ctx context.Context, f io.ReaderAt, label string, want artifact.Blob) error {
	metadata, files, err := erofs.ReadLayout(f, want.Size)
	if err != nil {
		return artifact.Damagef(label, "%v", err)
	}
	parts := append([]erofs.Extent{{Offset: 0, Size: metadata}}, files...)
	sums, err := sumExtents(ctx, f, parts)
	if errors.Is(err, errPadding) {
		return artifact.Damagef(label, "%v", err)
	}
	if err != nil {
		return err
	}
	d := newImageDigester(metadata, sums[0])
	for i, e := range files {
		d.file(e.Offset, e.Size, sums[i+1])
	}
	if d.digest(want.Size) != want.Digest {
		return artifact.Damagef(label, "its image has another digest than %s", want.Digest.Short())
	}
	return nil
}

var errPadding = errors.New("there are bytes where nothing may be")

// sumExtents reads parts of a file, some in each worker, and what follows each
// up to the next block, which must be zero.
func sumExtents(ctx context.Context, f io.ReaderAt, parts []erofs.Extent) ([][sha256.Size]byte, error) {
	sums := make([][sha256.Size]byte, len(parts))
	longest := int64(erofs.BlockSize)
	for _, p := range parts {
		longest = max(longest, p.Size)
	}
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf := make([]byte, min(longest, 256<<10))
			h := sha256.New()
			for {
				const few = 32 // taken at a time: neighbours are read by one worker
				last := int(next.Add(few))
				for i := last - few; i < min(last, len(parts)); i++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					h.Reset()
					if err := sumExtent(f, parts[i], h, buf); err != nil {
						return err
					}
					h.Sum(sums[i][:0])
				}
				if last >= len(parts) {
					return nil
				}
			}
		})
	}
	return sums, g.Wait()
}

func sumExtent(f io.ReaderAt, e erofs.Extent, h io.Writer, buf []byte) error {
	left := e.Size
	whole := (left + erofs.BlockSize - 1) / erofs.BlockSize * erofs.BlockSize
	for off := int64(0); off < whole; {
		b := buf[:min(int64(len(buf)), whole-off)]
		if _, err := f.ReadAt(b, e.Offset+off); err != nil {
			return fmt.Errorf("reading image: %w", err)
		}
		n := min(left, int64(len(b)))
		h.Write(b[:n])
		if len(bytes.Trim(b[n:], "\x00")) > 0 {
			return fmt.Errorf("%w, after a file at %d", errPadding, e.Offset)
		}
		left, off = left-n, off+int64(len(b))
	}
	return nil
}
