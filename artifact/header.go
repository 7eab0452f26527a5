package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
)

const (
	block       = 512
	trailerSize = 2 * block // two zero blocks end a tar
)

// header returns the bytes that stand before an entry's data: one USTAR
// header, with a PAX one before it only where the entry needs it. They follow
// from the entry alone, so a reader never parses a header: it predicts and
// compares.
func header(e *entry) ([]byte, error) {
	h := tar.Header{Name: e.path, ModTime: e.modTime()}
	switch e.kind {
	case kindDir:
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, dirMode, e.path+"/"
	case kindLink:
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, e.target
	default:
		h.Typeflag, h.Mode, h.Size = tar.TypeReg, fileMode, e.size
	}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&h); err != nil {
		return nil, fmt.Errorf("writing header of %q: %w", e.path, err)
	}
	return b.Bytes(), nil
}

// padding is the number of zero bytes after an entry's data.
func padding(e *entry) int64 { return -e.size & (block - 1) }

// tarSize is an entry's whole length in the tar. The header's own length does
// not depend on what the file holds.
func tarSize(e *entry) (int64, error) {
	h, err := header(e)
	return int64(len(h)) + e.size + padding(e), err
}
