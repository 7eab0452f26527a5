package artifact

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unsafe"
)

// remembered is the last build of a tree. The zero value knows nothing.
type remembered struct {
	manifest  Manifest
	describer string // who described the tree
	exclude   string // patterns, a line each
	artifact  stamp  // of the file that was built, where it was built
	frames    []frame
	tree      scanned // with sums
	notes     []byte  // of the describer
	file      *os.File
	earlier   *earlier // frames to take; nil when there are none
}

// racy is how long a file must have been left alone for its stamp to tell: a
// file system's clock may be as coarse as that, and a change after the file
// was read then leaves the stamp as it was.
const racy = 2 * time.Second

// newRemembered takes down what was built from a tree that was seen unchanged
// at a time after everything was read.
func (b *builder) newRemembered(t scanned, x *index, m Manifest, seen time.Time) *remembered {
	limit := seen.Add(-racy).UnixNano()
	trusted := func(s stamp) stamp {
		if max(s.mtime, s.ctime) >= limit {
			return stamp{}
		}
		return s
	}
	r := &remembered{
		manifest: m, describer: b.describer(), exclude: strings.Join(b.Exclude, "\n"), frames: x.frames,
		tree: scanned{self: trusted(t.self), entries: make([]found, len(t.entries)), left: t.left},
	}
	members := x.entries[len(x.entries)-2-len(t.entries):]
	for i, f := range t.entries {
		f.sum, f.stamp = members[i].sum, trusted(f.stamp)
		r.tree.entries[i] = f
	}
	return r
}

func (r *remembered) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// recall fills in the sums of entries whose files look as they did, and tells
// which entries need not be read.
func (r *remembered) recall(tree []found, entries []entry) []bool {
	known := make([]bool, len(tree))
	old := r.tree.entries
	for i := range tree {
		f := &tree[i]
		if known[i] = f.kind != kindFile; known[i] {
			continue
		}
		for len(old) > 0 && comparePaths(old[0].path, f.path) < 0 {
			old = old[1:]
		}
		if len(old) > 0 && old[0].path == f.path && old[0].looks(f) {
			known[i], entries[i].sum = true, old[0].sum
		}
	}
	return known
}

// stateHeading begins a state; what another wpbake would build differently is
// of no use.
func stateHeading() string {
	return fmt.Sprintf("wpbake cache 4, format %d, %s, %s, %s\n", Format, encoderName, plannerName(), imageHeading)
}

// marshal writes a state: heading, numbers and texts, the sum of all that.
func (r *remembered) marshal() []byte {
	b := make([]byte, 0, 4<<10+len(r.notes)+128*len(r.frames)+192*len(r.tree.entries))
	b = append(b, stateHeading()...)
	b = appendText(b, string(r.manifest.Marshal()))
	b = appendText(b, r.describer)
	b = appendText(b, r.exclude)
	b = appendText(b, string(r.notes))
	b = appendStamp(b, r.artifact)
	b = appendStamp(b, r.tree.self)
	b = binary.AppendVarint(b, int64(len(r.frames)))
	for i := range r.frames {
		f := &r.frames[i]
		b = binary.AppendVarint(b, f.stored)
		b = binary.AppendVarint(b, f.plain)
		b = append(b, f.storedSum[:]...)
		b = append(b, f.contentSum[:]...)
	}
	b = binary.AppendVarint(b, int64(len(r.tree.left)))
	for _, p := range r.tree.left {
		b = appendText(b, p)
	}
	b = binary.AppendVarint(b, int64(len(r.tree.entries)))
	for i := range r.tree.entries {
		e := &r.tree.entries[i]
		b = append(b, byte(e.kind))
		b = appendText(b, e.path)
		b = appendText(b, e.target)
		b = binary.AppendVarint(b, e.size)
		b = append(b, e.sum[:]...)
		b = appendStamp(b, e.stamp)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func appendStamp(b []byte, s stamp) []byte {
	for _, v := range []int64{int64(s.dev), int64(s.ino), int64(s.mode), s.size, s.mtime, s.ctime} {
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
	m, err := ParseManifest([]byte(p.text()))
	r.manifest, r.describer, r.exclude, r.notes = m, p.text(), p.text(), []byte(p.text())
	r.artifact, r.tree.self = p.stamp(), p.stamp()
	frames := p.number()
	r.frames = make([]frame, 0, p.room(frames, 2*sha256.Size))
	for range frames {
		r.frames = append(r.frames, frame{p.number(), p.number(), p.sum(), p.sum()})
	}
	for range p.number() {
		r.tree.left = append(r.tree.left, p.text())
	}
	entries := p.number()
	r.tree.entries = make([]found, 0, p.room(entries, sha256.Size))
	for range entries {
		f := found{entry: entry{kind: kind(p.bytes(1)[0]), path: p.text(), target: p.text(), size: p.number(), sum: p.sum()}}
		f.stamp = p.stamp()
		r.tree.entries = append(r.tree.entries, f)
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

func (p *stateParser) text() string { return p.bytes(p.number()) }

func (p *stateParser) sum() (sum [sha256.Size]byte) {
	copy(sum[:], p.bytes(sha256.Size))
	return sum
}

func (p *stateParser) stamp() stamp {
	return stamp{dev: uint64(p.number()), ino: uint64(p.number()), mode: fs.FileMode(p.number()),
		size: p.number(), mtime: p.number(), ctime: p.number()}
}
