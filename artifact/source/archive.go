package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mholt/archives"
)

// format is what an archive is, as far as it can be read as a tree.
type format string

// Formats that are read; anything else is unknown.
const (
	unknown format = ""
	zipped  format = "zip"
	tarred  format = "tar"
	gzipped format = "tar.gz"
	bzipped format = "tar.bz2"
	xzipped format = "tar.xz"
	zstded  format = "tar.zst"
)

// identify reads a file's first bytes: its name proves nothing.
func identify(f io.ReaderAt) (format, error) {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return unknown, fmt.Errorf("reading tree: %w", err)
	}
	for _, magic := range []struct {
		at    int
		bytes string
		is    format
	}{
		{0, "PK", zipped}, {257, "ustar", tarred}, {0, "\x1f\x8b", gzipped}, {0, "BZh", bzipped},
		{0, "\xfd7zXZ\x00", xzipped}, {0, "\x28\xb5\x2f\xfd", zstded},
	} {
		if end := magic.at + len(magic.bytes); end <= n && string(head[magic.at:end]) == magic.bytes {
			return magic.is, nil
		}
	}
	return unknown, nil
}

// unpack stages an archive.
func unpack(ctx context.Context, s *staging, name string) error {
	s.source = name
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.limits = s.limits.of(info.Size())
	s.budget = s.limits.bytes
	is, err := identify(f)
	if err != nil {
		return err
	}
	switch is {
	case zipped:
		err = s.unpackZip(ctx, f, info.Size())
	case tarred:
		err = s.unpackTar(ctx, f)
	default:
		err = s.unpackCompressed(ctx, f, is)
	}
	if err != nil {
		return s.damaged("", err)
	}
	return s.finish(true)
}

func (s *staging) unpackCompressed(ctx context.Context, f *os.File, is format) error {
	how, ok := map[format]archives.Decompressor{
		gzipped: archives.Gz{},
		bzipped: archives.Bz2{},
		xzipped: archives.Xz{},
		zstded:  archives.Zstd{DecoderOptions: []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128 << 20)}},
	}[is]
	if !ok {
		return unreadable(s.source)
	}
	plain, err := how.OpenReader(f)
	if err != nil {
		return err
	}
	defer plain.Close()
	return s.unpackTar(ctx, plain)
}

// unpackTar stages a tar and insists on its end: Go's reader takes a tar that
// was cut between two members for a whole one, and does not look behind the
// end, where a second one may stand.
func (s *staging) unpackTar(ctx context.Context, plain io.Reader) error {
	m := &metered{ctx: ctx, r: plain, left: s.limits.bytes + tarOverhead(s.limits)}
	err := archives.Tar{}.Extract(ctx, m, s.tarEntry)
	switch {
	case m.left < 0:
		return s.overBudget("")
	case err != nil:
		return err
	case m.ended:
		return s.refuse(RuleDamaged, "", "ends without the end of a tar")
	}
	rest := make([]byte, 32<<10)
	for {
		n, err := m.Read(rest)
		if len(bytes.Trim(rest[:n], "\x00")) > 0 {
			return s.refuse(RuleDamaged, "", "goes on after the end of the tar")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if m.left < 0 {
			return s.overBudget("")
		}
		if err != nil {
			return err
		}
	}
}

// tarOverhead is what headers and padding may come to.
func tarOverhead(l limits) int64 { return min(int64(l.entries)*4096, l.bytes+1<<20) }

func (s *staging) tarEntry(ctx context.Context, f archives.FileInfo) error {
	h, ok := f.Header.(*tar.Header)
	if !ok {
		return s.refuse(RuleFormat, f.NameInArchive, "has no tar header")
	}
	name := plainName(h.Name)
	if name == "" && h.Typeflag == tar.TypeDir {
		return nil
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return s.refuse(RuleSpecial, name, "is a sparse file")
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return s.addDir(name)
	case tar.TypeSymlink:
		return s.addLink(name, h.Linkname)
	case tar.TypeLink:
		return s.addCopy(ctx, name, plainName(h.Linkname))
	case tar.TypeReg:
		return s.addOpened(ctx, name, f)
	default:
		return s.refuse(RuleSpecial, name, "is of the special kind %q", h.Typeflag)
	}
}

// addOpened writes a file from its place in an archive.
func (s *staging) addOpened(ctx context.Context, name string, f archives.FileInfo) error {
	if m := f.Mode(); m&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		return s.refuse(RuleSpecial, name, "has the mode %v", m)
	}
	content, err := f.Open()
	if err != nil {
		return s.damaged(name, err)
	}
	defer content.Close()
	return s.addFile(ctx, name, content)
}

// metered is a stream of bounded length that remembers whether it was read to
// its end.
type metered struct {
	ctx   context.Context // of the one reading that the stream exists for
	r     io.Reader
	left  int64
	ended bool
}

var errMeter = errors.New("the stream is longer than it may be")

func (m *metered) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	if m.ended {
		return 0, io.EOF
	}
	n, err := m.r.Read(p)
	if m.left -= int64(n); m.left < 0 {
		return 0, errMeter
	}
	if n > 0 && errors.Is(err, io.EOF) {
		return n, nil // whoever needs more asks again
	}
	m.ended = errors.Is(err, io.EOF)
	return n, err
}
