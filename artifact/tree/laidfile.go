package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// laidFile is an open file of an overlay: of a release, or of a view.
type laidFile struct {
	io.ReadCloser
	entry *Entry
}

// Stat implements fs.File.
func (f *laidFile) Stat() (fs.FileInfo, error) { return seen{f.entry}, nil }

// ReadFull implements File.
func (f *laidFile) ReadFull(b []byte) error {
	if _, err := io.ReadFull(f, b); err != nil {
		return f.failed(err)
	}
	return f.compare(sha256.Sum256(b))
}

// ReadTo implements File.
func (f *laidFile) ReadTo(ctx context.Context, w io.Writer) error {
	h := sha256.New()
	b := make([]byte, min(f.entry.Size, 256<<10))
	for left := f.entry.Size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := b[:min(left, int64(len(b)))]
		if _, err := io.ReadFull(f, part); err != nil {
			return f.failed(err)
		}
		h.Write(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return f.compare([sha256.Size]byte(h.Sum(nil)))
}

func (f *laidFile) failed(err error) error {
	return fmt.Errorf("reading %q, which is laid over the tree: %w", f.entry.Path, err)
}

// compare refuses content that is not what it was said to be.
func (f *laidFile) compare(sum [sha256.Size]byte) error {
	if !bytes.Equal(sum[:], f.entry.Sum[:]) {
		return f.failed(errors.New("it has another digest than the overlay says"))
	}
	return nil
}
