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
	index *index // sums of its entries are filled in as contents pass
}

func newUnpacker(name string, x *index) *unpacker { return &unpacker{name: name, index: x} }

// sink takes the files of entries. Directories and links it knows from the
// index. Each worker has its own.
type sink interface {
	// write takes the next piece of an entry's content, at off. The sink may
	// keep p until flush.
	write(i int, off int64, p []byte) error
	// end says that an entry is whole and its sum known.
	end(i int) error
	// flush comes before pieces that were written change.
	flush() error
	// close ends the work, after an error too.
	close()
}

// frames gives the stored bytes of an artifact's frames, in b, which is as long
// as they are, or elsewhere. Who asked verifies them.
type frames func(at located, b []byte) ([]byte, error)

// reader is a worker: it reads sections from their frames. Its buffers are
// used again and again.
type reader struct {
	u       *unpacker
	dec     *zstd.Decoder
	from    frames
	sink    sink
	next    int    // frame
	end     int    // frame after the section's last
	offset  int64  // of the next frame
	stored  []byte // of the frame that was read last
	plain   []byte
	current []byte // not yet read part of plain
	sum     hash.Hash
	head    []byte // a header as read
	want    []byte // the header as it must be
}

func (u *unpacker) reader(to sink) (*reader, error) {
	stored, plain := int64(1), int64(1)
	for i := range u.index.frames {
		stored, plain = max(stored, u.index.frames[i].stored), max(plain, u.index.frames[i].plain)
	}
	dec, err := newDecoder(uint64(plain))
	if err != nil {
		return nil, err
	}
	// Buffers that grow with the frames would leave garbage each time.
	return &reader{u: u, dec: dec, sink: to, sum: sha256.New(), stored: make([]byte, stored), plain: make([]byte, 0, plain)}, nil
}

func (r *reader) close() {
	r.dec.Close()
	r.sink.close()
}

// load reads, verifies and decodes the next frame.
func (r *reader) load() error {
	if r.next == r.end {
		return io.ErrUnexpectedEOF
	}
	if err := r.sink.flush(); err != nil {
		return err
	}
	n, f := r.next, &r.u.index.frames[r.next]
	b, err := r.from(located{*f, r.offset}, r.stored[:f.stored])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return unread(r.u.name, "frame %d is cut short", n)
	}
	if err != nil {
		return err
	}
	if sha256.Sum256(b) != f.storedSum {
		return unread(r.u.name, "frame %d has another digest than the index says", n)
	}
	if reason := badFrame(b, f.plain); reason != "" {
		return damaged(r.u.name, "frame %d cannot be decoded: it %s", n, reason)
	}
	if r.plain, err = r.dec.DecodeAll(b, r.plain[:0]); err != nil {
		return damaged(r.u.name, "frame %d cannot be decoded: %v", n, err)
	}
	if int64(len(r.plain)) != f.plain {
		return damaged(r.u.name, "frame %d holds other plain bytes than the index says", n)
	}
	r.current, r.next, r.offset = r.plain, n+1, r.offset+f.stored
	return nil
}

// piece returns the next bytes, at most n and at least one. They hold until
// the next call.
func (r *reader) piece(n int64) ([]byte, error) {
	if len(r.current) == 0 {
		if err := r.load(); err != nil {
			return nil, err
		}
	}
	n = min(n, int64(len(r.current)))
	b := r.current[:n:n]
	r.current = r.current[n:]
	return b, nil
}

// section passes a section's entries to the sink. One without entries is the
// end of the tar.
func (r *reader) section(s placed, from frames) error {
	r.from, r.next, r.end, r.offset, r.current = from, s.frame, s.frame+s.frames, s.offset, nil
	for i := s.first; i < s.last; i++ {
		if err := r.entry(i); err != nil {
			return err
		}
	}
	if s.first == s.last {
		if err := r.zeros(trailerSize, listPath); err != nil {
			return err
		}
	}
	return r.sink.flush()
}

func (r *reader) entry(i int) error {
	e := &r.u.index.entries[i]
	size, err := headerSize(e)
	if err != nil {
		return err
	}
	r.head = r.head[:0]
	for left := size; left > 0; {
		b, err := r.piece(left)
		if err != nil {
			return err
		}
		r.head = append(r.head, b...)
		left -= int64(len(b))
	}
	if e.kind == kindFile {
		if err := r.file(i, e); err != nil {
			return err
		}
	}
	if r.want, err = appendHeader(r.want[:0], e); err != nil { // with the content's time
		return err
	}
	if !bytes.Equal(r.head, r.want) {
		return damaged(r.u.name, "the header of %q is not the one of a %s as indexed", e.path, e.kind)
	}
	return nil
}

func (r *reader) file(i int, e *entry) error {
	r.sum.Reset()
	for off := int64(0); off < e.size; {
		b, err := r.piece(e.size - off)
		if err != nil {
			return err
		}
		if err := r.sink.write(i, off, b); err != nil {
			return err
		}
		r.sum.Write(b)
		off += int64(len(b))
	}
	r.sum.Sum(e.sum[:0])
	if err := r.sink.end(i); err != nil {
		return err
	}
	return r.zeros(padding(e), e.path)
}

// zeros reads n bytes that must be zero.
func (r *reader) zeros(n int64, where string) error {
	for n > 0 {
		b, err := r.piece(n)
		if err != nil {
			return err
		}
		for _, c := range b {
			if c != 0 {
				return damaged(r.u.name, "there are bytes where nothing may be, after %q", where)
			}
		}
		n -= int64(len(b))
	}
	return nil
}

// finish compares the sums of all content with the manifest's digests.
func (u *unpacker) finish(m Manifest) error {
	entries := u.index.entries
	list := entries[len(entries)-1]
	tree := treeMembers(entries)
	if got := describeTree(m.Tree.Prefix, tree, DigestFromSum(list.sum[:])); got != m.Tree {
		return damaged(u.name, "it holds the tree %s of %d files, the manifest says %s of %d", got.Digest.Short(), got.Files, m.Tree.Digest.Short(), m.Tree.Files)
	}
	if fileListDigest(tree) != m.Tree.List {
		return damaged(u.name, "%s does not list the files", listPath)
	}
	if err := u.contentSums(entries); err != nil {
		return err
	}
	image, err := describeImage(m.Tree.Digest, entries)
	if err != nil {
		return err
	}
	if image != m.Image {
		return damaged(ReleasePrefix(m.Version)+manifestName, "what the artifact holds makes an image of %d bytes, %s, not the one it names", image.Size, image.Digest.Short())
	}
	return nil
}

// contentSums compares what frames hold with what the index says of it, by
// which others find them.
func (u *unpacker) contentSums(entries []entry) error {
	sections, err := u.index.all()
	if err != nil {
		return err
	}
	for _, s := range sections {
		for i, sum := range contentSums(entries[s.first:s.last], s.frames) {
			if u.index.frames[s.frame+i].contentSum != sum {
				return damaged(u.name, "frame %d holds other content than the index says", s.frame+i)
			}
		}
	}
	return nil
}

// sequential gives frames that follow each other in r.
func sequential(r io.Reader) frames {
	return func(_ located, b []byte) ([]byte, error) {
		_, err := io.ReadFull(r, b)
		return b, err
	}
}

// headerSize is the length of an entry's header.
func headerSize(e *entry) (int64, error) {
	size, err := tarSize(e)
	return size - e.size - padding(e), err
}
