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

// appendHeader appends the bytes that stand before an entry's data: one USTAR
// header, with a PAX one before it only where the entry needs it. They follow
// from the entry alone, so a reader never parses a header: it predicts and
// compares.
func appendHeader(b []byte, e *entry) ([]byte, error) {
	if isPlain(e) {
		return appendPlainHeader(b, e), nil
	}
	h := tar.Header{Name: e.path, ModTime: e.modTime()}
	switch e.kind {
	case kindDir:
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, dirMode, e.path+"/"
	case kindLink:
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, linkMode, e.target
	default:
		h.Typeflag, h.Mode, h.Size = tar.TypeReg, fileMode, e.size
	}
	w := bytes.NewBuffer(b)
	if err := tar.NewWriter(w).WriteHeader(&h); err != nil {
		return nil, fmt.Errorf("writing header of %q: %w", e.path, err)
	}
	return w.Bytes(), nil
}

func header(e *entry) ([]byte, error) { return appendHeader(nil, e) }

// Limits of a plain header.
const (
	plainName = 100
	plainSize = 1 << 33 // bytes, which eleven octal digits cannot say
)

// isPlain tells whether one header without a prefix says all of an entry.
// Nearly all entries are such, and package tar takes ten times as long.
func isPlain(e *entry) bool {
	return len(e.path) < plainName && isASCII(e.path) && len(e.target) <= plainName && isASCII(e.target) && e.size < plainSize
}

// appendPlainHeader writes what package tar writes for the same entry.
func appendPlainHeader(b []byte, e *entry) []byte {
	at := len(b)
	b = append(b, make([]byte, block)...)
	h := b[at:]
	n := copy(h, e.path)
	mode, flag := int64(fileMode), byte(tar.TypeReg)
	switch e.kind {
	case kindDir:
		h[n] = '/'
		mode, flag = dirMode, tar.TypeDir
	case kindLink:
		mode, flag = linkMode, tar.TypeSymlink
	}
	octal(h[100:107], mode)
	octal(h[108:115], 0) // owner
	octal(h[116:123], 0) // group
	octal(h[124:135], e.size)
	octal(h[136:147], e.modTime().Unix())
	copy(h[148:156], "        ") // what the checksum counts itself as
	h[156] = flag
	copy(h[157:257], e.target)
	copy(h[257:], "ustar\x0000")
	octal(h[329:336], 0) // device
	octal(h[337:344], 0)
	sum := int64(0)
	for _, c := range h {
		sum += int64(c)
	}
	octal(h[148:154], sum)
	h[154] = 0
	return b
}

// octal fills b with the digits of n.
func octal(b []byte, n int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n&7)
		n >>= 3
	}
}

// padding is the number of zero bytes after an entry's data.
func padding(e *entry) int64 { return -e.size & (block - 1) }

// tarSize is an entry's whole length in the tar. The header's own length does
// not depend on what the file holds.
func tarSize(e *entry) (int64, error) {
	if isPlain(e) {
		return block + e.size + padding(e), nil
	}
	h, err := appendHeader(nil, e)
	return int64(len(h)) + e.size + padding(e), err
}
