package build

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/artifact/tree"
)

// remembered is the last build of a tree. The zero value knows nothing.
type remembered struct {
	manifest artifact.Manifest
	key      string     // of the Work
	follows  bool       // the release follows from tree and key
	exclude  string     // patterns, a line each
	artifact tree.Stamp // of the file that was built, where it was built
	frames   []artifact.Frame
	tree     tree.Listing // as it was scanned, with sums
	read     []bool       // of each entry: the sum is of its file
	notes    []byte       // of the Work
	file     *os.File
	previous *fetch.Previous // frames to take; nil when there are none
}

// racy is how long a file must have been left alone for its stamp to tell: a
// file system's clock may be as coarse as that, and a change after the file
// was read then leaves the stamp as it was.
const racy = 2 * time.Second

// newRemembered takes down what was built from a tree that was seen unchanged
// at a time after everything was read.
func (b *Builder) newRemembered(w Work, x *artifact.Index, m artifact.Manifest, seen time.Time) *remembered {
	limit := seen.Add(-racy).UnixNano()
	trusted := func(s tree.Stamp) tree.Stamp {
		if max(s.Mtime, s.Ctime) >= limit {
			return tree.Stamp{}
		}
		return s
	}
	t := w.Scanned
	r := &remembered{
		manifest: m, key: w.Key, follows: !w.Foreign, exclude: strings.Join(b.Exclude, "\n"), frames: x.Frames, read: make([]bool, len(t.Entries)),
		tree: tree.Listing{Self: trusted(t.Self), Entries: make([]tree.Entry, len(t.Entries)), Excluded: t.Excluded},
	}
	if len(w.Notes) <= maxNotes {
		r.notes = w.Notes
	}
	laid := w.Laid.Entries
	members := x.Members[len(x.Members)-2-len(laid):]
	for i, f := range t.Entries {
		for laid[0].Path != f.Path { // what was added
			laid, members = laid[1:], members[1:]
		}
		if r.read[i] = laid[0].Content == nil; r.read[i] {
			f.Sum = members[0].Sum
		}
		f.Stamp = trusted(f.Stamp)
		r.tree.Entries[i] = f
	}
	return r
}

// maxNotes bounds what the cache keeps of a Work's notes.
const maxNotes = 8 << 20

func (r *remembered) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// recall fills in the sums of entries whose files look as they did, and tells
// which entries need not be read.
func (r *remembered) recall(tree []tree.Entry, entries []artifact.Member) []bool {
	known := make([]bool, len(tree))
	old, read := r.tree.Entries, r.read
	for i := range tree {
		f := &tree[i]
		if known[i] = f.Kind != artifact.KindFile || f.Content != nil; known[i] {
			continue
		}
		for len(old) > 0 && artifact.ComparePaths(old[0].Path, f.Path) < 0 {
			old, read = old[1:], read[1:]
		}
		if len(old) > 0 && old[0].Path == f.Path && read[0] && old[0].Looks(f) {
			known[i], entries[i].Sum = true, old[0].Sum
		}
	}
	return known
}

// stateHeading begins a state; what another wpbake would build differently is
// of no use.
func stateHeading() string {
	return fmt.Sprintf("wpbake cache 5, format %d, %s, %s, %s\n", artifact.Format, encoderName, plannerName(), imagefs.Heading)
}

// marshal writes a state: heading, numbers and texts, the sum of all that.
func (r *remembered) marshal() []byte {
	b := make([]byte, 0, 4<<10+len(r.notes)+128*len(r.frames)+192*len(r.tree.Entries))
	b = append(b, stateHeading()...)
	b = appendText(b, string(r.manifest.Marshal()))
	b = appendText(b, r.key)
	b = appendBool(b, r.follows)
	b = appendText(b, r.exclude)
	b = appendText(b, string(r.notes))
	b = appendStamp(b, r.artifact)
	b = appendStamp(b, r.tree.Self)
	b = binary.AppendVarint(b, int64(len(r.frames)))
	for i := range r.frames {
		f := &r.frames[i]
		b = binary.AppendVarint(b, f.Stored)
		b = binary.AppendVarint(b, f.Plain)
		b = append(b, f.StoredSum[:]...)
		b = append(b, f.ContentSum[:]...)
	}
	b = binary.AppendVarint(b, int64(len(r.tree.Excluded)))
	for _, p := range r.tree.Excluded {
		b = appendText(b, p)
	}
	b = binary.AppendVarint(b, int64(len(r.tree.Entries)))
	for i := range r.tree.Entries {
		e := &r.tree.Entries[i]
		b = append(b, byte(e.Kind))
		b = appendText(b, e.Path)
		b = appendText(b, e.Target)
		b = binary.AppendVarint(b, e.Size)
		b = append(b, e.Sum[:]...)
		b = appendStamp(b, e.Stamp)
		b = appendBool(b, r.read[i])
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func appendStamp(b []byte, s tree.Stamp) []byte {
	for _, v := range []int64{int64(s.Dev), int64(s.Ino), int64(s.Mode), s.Size, s.Mtime, s.Ctime} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

// parseState reads what marshal wrote; anything else is not ok. What it returns
// keeps b: paths are parts of it.
func parseState(b []byte) (*remembered, bool) {
	n := len(b) - sha256.Size
	if n < 0 || sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return nil, false
	}
	text := unsafe.String(unsafe.SliceData(b), n) // nobody writes to it again
	body, ok := strings.CutPrefix(text, stateHeading())
	if !ok {
		return nil, false
	}
	p := &stateParser{rest: body}
	r := &remembered{}
	m, err := artifact.ParseManifest([]byte(p.text()))
	r.manifest, r.key, r.follows = m, p.text(), p.bool()
	r.exclude, r.notes = p.text(), []byte(p.text())
	r.artifact, r.tree.Self = p.stamp(), p.stamp()
	frames := p.number()
	r.frames = make([]artifact.Frame, 0, p.room(frames, 2*sha256.Size))
	for range frames {
		r.frames = append(r.frames, artifact.Frame{Stored: p.number(), Plain: p.number(), StoredSum: p.sum(), ContentSum: p.sum()})
	}
	for range p.number() {
		r.tree.Excluded = append(r.tree.Excluded, p.text())
	}
	entries := p.number()
	r.tree.Entries = make([]tree.Entry, 0, p.room(entries, sha256.Size))
	for range entries {
		f := tree.Entry{Member: artifact.Member{Kind: artifact.Kind(p.bytes(1)[0]), Path: p.text(), Target: p.text(), Size: p.number(), Sum: p.sum()}}
		f.Stamp = p.stamp()
		r.tree.Entries, r.read = append(r.tree.Entries, f), append(r.read, p.bool())
	}
	return r, err == nil && !p.bad && p.rest == ""
}

// stateParser reads what is known to be whole; bad only guards against a
// mistake of our own.
type stateParser struct {
	rest string
	bad  bool
}

func (p *stateParser) number() int64 {
	v, n := binary.Varint([]byte(p.rest[:min(len(p.rest), binary.MaxVarintLen64)]))
	if p.bad = p.bad || n <= 0; p.bad {
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

// room is n, or how often size bytes fit into what is left if that is less.
func (p *stateParser) room(n, size int64) int64 { return max(0, min(n, int64(len(p.rest))/size)) }

func (p *stateParser) bytes(n int64) string {
	if p.bad = p.bad || n < 0 || n > int64(len(p.rest)); p.bad {
		return strings.Repeat("\x00", int(min(max(n, 0), sha256.Size)))
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *stateParser) bool() bool { return p.bytes(1)[0] == 1 }

func (p *stateParser) text() string { return p.bytes(p.number()) }

func (p *stateParser) sum() (sum [sha256.Size]byte) {
	copy(sum[:], p.bytes(sha256.Size))
	return sum
}

func (p *stateParser) stamp() tree.Stamp {
	return tree.Stamp{Dev: uint64(p.number()), Ino: uint64(p.number()), Mode: fs.FileMode(p.number()),
		Size: p.number(), Mtime: p.number(), Ctime: p.number()}
}
