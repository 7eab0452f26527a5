package artifact

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// unpacker turns frames into entries. Nothing is decoded before its digest
// was compared, and no tar is parsed: the index says which entry comes next,
// its header follows from it and from the content, and the two are compared.
type unpacker struct {
	name  string // of the artifact, for messages
	index *index
	sums  [][sha256.Size]byte // of each entry's content, filled in as it passes
}

func newUnpacker(name string, x *index) *unpacker {
	return &unpacker{name: name, index: x, sums: make([][sha256.Size]byte, len(x.entries))}
}

// sink takes the files of entries. Directories and links it knows from the
// index.
type sink interface {
	// file is given the number of an entry and returns where its content goes.
	// The content is finished when Close returned nil; it may be closed early
	// when an error ends the work.
	file(i int, e *entry) (io.WriteCloser, error)
}

// plainReader reads the plain bytes of consecutive frames from their stored
// bytes. Each worker has its own and reuses its buffers.
type plainReader struct {
	u       *unpacker
	dec     *zstd.Decoder
	stored  io.Reader
	next    int // frame
	end     int // frame after the last
	buf     []byte
	plain   []byte
	current []byte // not yet read part of plain
}

func (u *unpacker) reader() (*plainReader, error) {
	largest := int64(1)
	for i := range u.index.frames {
		largest = max(largest, u.index.frames[i].plain)
	}
	dec, err := newDecoder(uint64(largest))
	if err != nil {
		return nil, err
	}
	return &plainReader{u: u, dec: dec}, nil
}

func (r *plainReader) Close() { r.dec.Close() }

// reset makes r read frames [first, end) from stored.
func (r *plainReader) reset(stored io.Reader, first, end int) {
	r.stored, r.next, r.end, r.current = stored, first, end, nil
}

func (r *plainReader) Read(p []byte) (int, error) {
	if len(r.current) == 0 {
		if r.next == r.end {
			return 0, io.EOF
		}
		if err := r.frame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.current)
	r.current = r.current[n:]
	return n, nil
}

// frame reads, verifies and decodes the next frame.
func (r *plainReader) frame() error {
	n, f := r.next, &r.u.index.frames[r.next]
	if int64(cap(r.buf)) < f.stored {
		r.buf = make([]byte, f.stored)
	}
	b := r.buf[:f.stored]
	if _, err := io.ReadFull(r.stored, b); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return unread(r.u.name, "frame %d is cut short", n)
		}
		return err
	}
	if sha256.Sum256(b) != f.storedSum {
		return unread(r.u.name, "frame %d has another digest than the index says", n)
	}
	if reason := badFrame(b, f.plain); reason != "" {
		return damaged(r.u.name, "frame %d cannot be decoded: it %s", n, reason)
	}
	var err error
	if r.plain, err = r.dec.DecodeAll(b, r.plain[:0]); err != nil {
		return damaged(r.u.name, "frame %d cannot be decoded: %v", n, err)
	}
	if int64(len(r.plain)) != f.plain {
		return damaged(r.u.name, "frame %d holds other plain bytes than the index says", n)
	}
	r.current, r.next = r.plain, n+1
	return nil
}

// section passes a section's entries to the sink.
func (u *unpacker) section(r *plainReader, s placed, to sink) error {
	for i := s.first; i < s.last; i++ {
		if err := u.entry(r, i, to); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) entry(r io.Reader, i int, to sink) error {
	e := u.index.entries[i]
	expected, err := header(&e)
	if err != nil {
		return err
	}
	head := make([]byte, len(expected))
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	if e.kind == kindFile {
		if err := u.file(r, i, to); err != nil {
			return err
		}
		e.sum = u.sums[i]
		if expected, err = header(&e); err != nil { // with the content's time
			return err
		}
	}
	if !bytes.Equal(head, expected) {
		return damaged(u.name, "the header of %q is not the one of a %s as indexed", e.path, e.kind)
	}
	return nil
}

func (u *unpacker) file(r io.Reader, i int, to sink) (err error) {
	e := &u.index.entries[i]
	out, err := to.file(i, e)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := copyContent(out, sum, r, e.size); err != nil {
		out.Close()
		return err
	}
	u.sums[i] = [sha256.Size]byte(sum.Sum(nil))
	if err := out.Close(); err != nil {
		return err
	}
	return u.zeros(r, padding(e), e.path)
}

func copyContent(out io.Writer, sum hash.Hash, r io.Reader, size int64) error {
	_, err := io.CopyN(io.MultiWriter(out, sum), r, size)
	return err
}

// zeros reads n bytes that must be zero.
func (u *unpacker) zeros(r io.Reader, n int64, where string) error {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if len(bytes.Trim(b, "\x00")) > 0 {
		return damaged(u.name, "there are bytes where nothing may be, after %q", where)
	}
	return nil
}

// finish compares the sums of all content with the manifest's digests.
func (u *unpacker) finish(m Manifest) error {
	entries := make([]entry, len(u.index.entries))
	copy(entries, u.index.entries)
	for i := range entries {
		entries[i].sum = u.sums[i]
	}
	list := entries[len(entries)-1]
	tree := treeMembers(entries)
	if got := describeTree(m.Tree.Prefix, tree, DigestFromSum(list.sum[:])); got != m.Tree {
		return damaged(u.name, "it holds the tree %s of %d files, the manifest says %s of %d", got.Digest.Short(), got.Files, m.Tree.Digest.Short(), m.Tree.Files)
	}
	if DigestOf(fileList(tree)) != m.Tree.List {
		return damaged(u.name, "%s does not list the files", listPath)
	}
	return u.contentSums(entries)
}

// contentSums compares what frames hold with what the index says of it, by
// which others find them.
func (u *unpacker) contentSums(entries []entry) error {
	sections, err := u.index.sections()
	if err != nil {
		return err
	}
	for _, s := range append(sections, placed{frame: len(u.index.frames) - 1, frames: 1}) {
		for i, sum := range contentSums(entries[s.first:s.last], s.frames) {
			if u.index.frames[s.frame+i].contentSum != sum {
				return damaged(u.name, "frame %d holds other content than the index says", s.frame+i)
			}
		}
	}
	return nil
}

// readTail verifies and parses what follows the frames: the index, whose
// digest the manifest pins, and the seek table, which follows from the index.
func readTail(m Manifest, name string, tail []byte) (*index, error) {
	if int64(len(tail)) != m.Artifact.Size-m.Index.Offset {
		return nil, unread(name, "its end is cut short")
	}
	b := tail[:m.Index.Size]
	if DigestOf(b) != m.Index.Digest {
		return nil, unread(name, "the index has another digest than the manifest says")
	}
	x, err := unpackIndex(b, m.Tree.Prefix)
	if err != nil {
		return nil, &Damaged{Name: name, Reason: err.Error()}
	}
	if x.layout() != m.Index.Offset {
		return nil, damaged(name, "index and manifest contradict each other")
	}
	if !bytes.Equal(tail[m.Index.Size:], seekTable(x.frames, m.Index.Size)) {
		return nil, unread(name, "the seek table is not the one that follows from the index: they contradict each other")
	}
	return x, nil
}

// checkSize refuses an object that is longer or shorter than the manifest says.
func checkSize(m Manifest, name string, size int64) error {
	if size != m.Artifact.Size {
		return unread(name, "it has %d bytes, the manifest says %d", size, m.Artifact.Size)
	}
	return nil
}
