package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
)

const (
	TarBlock    = 512
	TrailerSize = 2 * TarBlock // two zero blocks end a tar
)

// AppendHeader appends the bytes that stand before an entry's data: one USTAR
// header, with a PAX one before it only where the entry needs it. They follow
// from the entry alone, so a reader never parses a header: it predicts and
// compares.
func AppendHeader(b []byte, e *Member) ([]byte, error) {
	if isPlain(e) {
		return appendPlainHeader(b, e), nil
	}
	h := tar.Header{Name: e.Path, ModTime: e.ModTime()}
	switch e.Kind {
	case KindDir:
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, DirMode, e.Path+"/"
	case KindLink:
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, linkMode, e.Target
	default:
		h.Typeflag, h.Mode, h.Size = tar.TypeReg, FileMode, e.Size
	}
	w := bytes.NewBuffer(b)
	if err := tar.NewWriter(w).WriteHeader(&h); err != nil {
		return nil, fmt.Errorf("writing header of %q: %w", e.Path, err)
	}
	return w.Bytes(), nil
}

// Header is AppendHeader into a new slice.
func Header(e *Member) ([]byte, error) { return AppendHeader(nil, e) }

// Limits of a plain header.
const (
	plainName = 100
	plainSize = 1 << 33 // bytes, which eleven octal digits cannot say
)

// isPlain tells whether one header without a prefix says all of an entry.
// Nearly all entries are such, and package tar takes ten times as long.
func isPlain(e *Member) bool {
	return len(e.Path) < plainName && isASCII(e.Path) && len(e.Target) <= plainName && isASCII(e.Target) && e.Size < plainSize
}

// appendPlainHeader writes what package tar writes for the same entry.
func appendPlainHeader(b []byte, e *Member) []byte {
	at := len(b)
	b = append(b, make([]byte, TarBlock)...)
	h := b[at:]
	n := copy(h, e.Path)
	mode, flag := int64(FileMode), byte(tar.TypeReg)
	switch e.Kind {
	case KindDir:
		h[n] = '/'
		mode, flag = DirMode, tar.TypeDir
	case KindLink:
		mode, flag = linkMode, tar.TypeSymlink
	}
	octal(h[100:107], mode)
	octal(h[108:115], 0) // owner
	octal(h[116:123], 0) // group
	octal(h[124:135], e.Size)
	octal(h[136:147], e.ModTime().Unix())
	copy(h[148:156], "        ") // what the checksum counts itself as
	h[156] = flag
	copy(h[157:257], e.Target)
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

// Padding is the number of zero bytes after an entry's data.
func Padding(e *Member) int64 { return -e.Size & (TarBlock - 1) }

// TarSize is an entry's whole length in the tar. The header's own length does
// not depend on what the file holds.
func TarSize(e *Member) (int64, error) {
	if isPlain(e) {
		return TarBlock + e.Size + Padding(e), nil
	}
	h, err := AppendHeader(nil, e)
	return int64(len(h)) + e.Size + Padding(e), err
}
