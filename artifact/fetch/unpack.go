package fetch

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/imagefs"
)

// unpacker turns frames into entries. Nothing is decoded before its digest
// was compared, and no tar is parsed: the index says which entry comes next,
// its header follows from it and from the content, and the two are compared.
type unpacker struct {
	name  string          // of the artifact, for messages
	index *artifact.Index // sums of its entries are filled in as contents pass
}

func newUnpacker(name string, x *artifact.Index) *unpacker { return &unpacker{name: name, index: x} }

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
type frames func(at artifact.Located, b []byte) ([]byte, error)

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
	for i := range u.index.Frames {
		stored, plain = max(stored, u.index.Frames[i].Stored), max(plain, u.index.Frames[i].Plain)
	}
	dec, err := artifact.NewDecoder(uint64(plain))
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
	n, f := r.next, &r.u.index.Frames[r.next]
	b, err := r.from(artifact.Located{Frame: *f, Offset: r.offset}, r.stored[:f.Stored])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return artifact.Unreadf(r.u.name, "frame %d is cut short", n)
	}
	if err != nil {
		return err
	}
	if sha256.Sum256(b) != f.StoredSum {
		return artifact.Unreadf(r.u.name, "frame %d has another digest than the index says", n)
	}
	if reason := artifact.BadFrame(b, f.Plain); reason != "" {
		return artifact.Damagef(r.u.name, "frame %d cannot be decoded: it %s", n, reason)
	}
	if r.plain, err = r.dec.DecodeAll(b, r.plain[:0]); err != nil {
		return artifact.Damagef(r.u.name, "frame %d cannot be decoded: %v", n, err)
	}
	if int64(len(r.plain)) != f.Plain {
		return artifact.Damagef(r.u.name, "frame %d holds other plain bytes than the index says", n)
	}
	r.current, r.next, r.offset = r.plain, n+1, r.offset+f.Stored
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
func (r *reader) section(s artifact.Extent, from frames) error {
	r.from, r.next, r.end, r.offset, r.current = from, s.Frame, s.Frame+s.Frames, s.Offset, nil
	for i := s.First; i < s.Last; i++ {
		if err := r.entry(i); err != nil {
			return err
		}
	}
	if s.First == s.Last {
		if err := r.zeros(artifact.TrailerSize, artifact.ListPath); err != nil {
			return err
		}
	}
	return r.sink.flush()
}

func (r *reader) entry(i int) error {
	e := &r.u.index.Members[i]
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
	if e.Kind == artifact.KindFile {
		if err := r.file(i, e); err != nil {
			return err
		}
	}
	if r.want, err = artifact.AppendHeader(r.want[:0], e); err != nil { // with the content's time
		return err
	}
	if !bytes.Equal(r.head, r.want) {
		return artifact.Damagef(r.u.name, "the header of %q is not the one of a %s as indexed", e.Path, e.Kind)
	}
	return nil
}

func (r *reader) file(i int, e *artifact.Member) error {
	r.sum.Reset()
	for off := int64(0); off < e.Size; {
		b, err := r.piece(e.Size - off)
		if err != nil {
			return err
		}
		if err := r.sink.write(i, off, b); err != nil {
			return err
		}
		r.sum.Write(b)
		off += int64(len(b))
	}
	r.sum.Sum(e.Sum[:0])
	if err := r.sink.end(i); err != nil {
		return err
	}
	return r.zeros(artifact.Padding(e), e.Path)
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
				return artifact.Damagef(r.u.name, "there are bytes where nothing may be, after %q", where)
			}
		}
		n -= int64(len(b))
	}
	return nil
}

// finish compares the sums of all content with the manifest's digests.
func (u *unpacker) finish(m artifact.Manifest) error {
	entries := u.index.Members
	list := entries[len(entries)-1]
	tree := artifact.TreeMembers(entries)
	if got := artifact.DescribeTree(m.Tree.Prefix, tree, artifact.DigestFromSum(list.Sum[:])); got != m.Tree {
		return artifact.Damagef(u.name, "it holds the tree %s of %d files, the manifest says %s of %d", got.Digest.Short(), got.Files, m.Tree.Digest.Short(), m.Tree.Files)
	}
	if artifact.FileListDigest(tree) != m.Tree.List {
		return artifact.Damagef(u.name, "%s does not list the files", artifact.ListPath)
	}
	if err := u.contentSums(entries); err != nil {
		return err
	}
	image, err := imagefs.Describe(m.Tree.Digest, entries)
	if err != nil {
		return err
	}
	if image != m.Image {
		return artifact.Damagef(artifact.ReleasePrefix(m.Version)+artifact.ManifestName, "what the artifact holds makes an image of %d bytes, %s, not the one it names", image.Size, image.Digest.Short())
	}
	return nil
}

// contentSums compares what frames hold with what the index says of it, by
// which others find them.
func (u *unpacker) contentSums(entries []artifact.Member) error {
	sections, err := u.index.All()
	if err != nil {
		return err
	}
	for _, s := range sections {
		for i, sum := range artifact.ContentSums(entries[s.First:s.Last], s.Frames) {
			if u.index.Frames[s.Frame+i].ContentSum != sum {
				return artifact.Damagef(u.name, "frame %d holds other content than the index says", s.Frame+i)
			}
		}
	}
	return nil
}

// sequential gives frames that follow each other in r.
func sequential(r io.Reader) frames {
	return func(_ artifact.Located, b []byte) ([]byte, error) {
		_, err := io.ReadFull(r, b)
		return b, err
	}
}

// headerSize is the length of an entry's header.
func headerSize(e *artifact.Member) (int64, error) {
	size, err := artifact.TarSize(e)
	return size - e.Size - artifact.Padding(e), err
}
