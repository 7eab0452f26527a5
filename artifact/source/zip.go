package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zip"
	"github.com/mholt/archives"
)

// Of a zip's last records.
const (
	zipEndSize      = 22
	zipLocatorSize  = 20
	zipEnd64Size    = 56
	zipMaxComment   = 1 << 16
	zipEncrypted    = 1 << 0
	zipMethodAES    = 99
	maxZipDirectory = 128 << 20 // half a million entries of usual names
)

var (
	zipFile    = []byte("PK\x03\x04")
	zipEnd     = []byte("PK\x05\x06")
	zipLocator = []byte("PK\x06\x07")
	zipEnd64   = []byte("PK\x06\x06")
)

func (s *staging) unpackZip(ctx context.Context, f *os.File, size int64) error {
	if err := s.checkZip(f, size); err != nil {
		return err
	}
	return archives.Zip{}.Extract(ctx, f, s.zipEntry)
}

func (s *staging) zipEntry(ctx context.Context, f archives.FileInfo) error {
	h, ok := f.Header.(zip.FileHeader)
	if !ok {
		return s.refuse(RuleFormat, f.NameInArchive, "has no zip header")
	}
	name := plainName(h.Name)
	if h.Flags&zipEncrypted != 0 || h.Method == zipMethodAES {
		return s.refuse(RuleEncrypted, name, "is encrypted")
	}
	switch mode := h.Mode(); mode.Type() {
	case fs.ModeDir:
		if h.UncompressedSize64 != 0 {
			return s.refuse(RuleSpecial, name, "is a directory with content")
		}
		if name == "" {
			return nil
		}
		return s.addDir(name)
	case fs.ModeSymlink:
		return s.addLink(name, f.LinkTarget)
	case 0:
		return s.addOpened(ctx, name, f)
	default:
		return s.refuse(RuleSpecial, name, "has the mode %v", mode)
	}
}

// checkZip wants a zip that begins with its first entry and ends with its own
// end: readers that search disagree about anything else, and what one shows
// is not what another unpacks. It bounds the directory, which is read whole
// before the first entry.
func (s *staging) checkZip(f io.ReaderAt, size int64) error {
	head := make([]byte, len(zipFile))
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	if !bytes.Equal(head, zipFile) {
		return s.refuse(RuleDamaged, "", "does not begin with an entry of a zip")
	}
	tail := make([]byte, min(size, zipMaxComment+zipEndSize))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	at := bytes.LastIndex(tail, zipEnd)
	if at < 0 || len(tail)-at < zipEndSize {
		return s.refuse(RuleDamaged, "", "has no end of a zip: it is cut off")
	}
	end := tail[at:]
	if int(binary.LittleEndian.Uint16(end[20:])) != len(end)-zipEndSize {
		return s.refuse(RuleDamaged, "", "goes on after the end of the zip")
	}
	return s.checkZipDirectory(f, end, size-int64(len(end)))
}

// checkZipDirectory looks at where the directory lies: right before its end,
// which is at the offset given.
func (s *staging) checkZipDirectory(f io.ReaderAt, end []byte, at int64) error {
	count := uint64(binary.LittleEndian.Uint16(end[10:]))
	length := uint64(binary.LittleEndian.Uint32(end[12:]))
	offset := uint64(binary.LittleEndian.Uint32(end[16:]))
	big := make([]byte, zipEnd64Size+zipLocatorSize)
	if at >= int64(len(big)) {
		if _, err := f.ReadAt(big, at-int64(len(big))); err != nil {
			return fmt.Errorf("reading tree: %w", err)
		}
		if bytes.HasPrefix(big, zipEnd64) && bytes.HasPrefix(big[zipEnd64Size:], zipLocator) {
			count = binary.LittleEndian.Uint64(big[32:])
			length = binary.LittleEndian.Uint64(big[40:])
			offset = binary.LittleEndian.Uint64(big[48:])
			at -= int64(len(big))
		}
	}
	switch {
	case count > uint64(s.limits.entries):
		return s.refuse(RuleEntries, "", "has %d entries, more than %d", count, s.limits.entries)
	case length > maxZipDirectory:
		return s.refuse(RuleEntries, "", "has a directory of %d bytes, more than %d", length, maxZipDirectory)
	case offset > uint64(at) || uint64(at)-offset != length:
		return s.refuse(RuleDamaged, "", "has something before, or in, what the zip accounts for")
	}
	return nil
}
