package erofs

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
)

// BlockSize is the unit that contents are aligned to.
const BlockSize = 4096

// Where inodes begin: behind the superblock, which stands at 1024. Every inode
// has its number from its place, and 0 is no number that a file may have.
const (
	superblock = 1024
	inodeSize  = 64 // of the form with a time of its own
	inodes     = superblock + 2*inodeSize
	rootNumber = inodes / inodeUnit
	inodeUnit  = 32 // that inodes are numbered by
	direntSize = 12
	maxName    = 255
)

// Kind is what an entry is.
type Kind byte

// Kinds of entries.
const (
	File Kind = iota
	Directory
	Link
)

// Entry is a file, directory or link of an image.
type Entry struct {
	Path   string // from the root, without a slash at either end
	Kind   Kind
	Size   int64  // of a file
	Target string // of a link
	Time   int64  // seconds since 1970; not looked at before WriteMetadata
}

// Layout says where everything stands in an image.
type Layout struct {
	n        int
	at       func(int) Entry
	kept     func(int) (Extent, bool) // nil keeps nothing
	parents  []int32                  // of each entry, the number of its directory; -1 is the root
	first    []int32                  // of each directory, the root first: where its children begin in children
	children []int32                  // numbers of entries, grouped by directory
	starts   []uint32                 // of each entry, the root first: its first block
	files    uint32                   // block that files begin at
	blocks   uint32
}

// New lays out an image of n entries, which at returns by number. A directory
// comes before what it holds and is followed by all of it. Contents stand in
// the order of their entries. The root is no entry.
func New(n int, at func(int) Entry) (*Layout, error) { return NewAfter(n, at, nil) }

// NewAfter is New for an image that follows another: kept returns, by number,
// where that one has the file of an entry. A file stays there if it still fits;
// others go into the first hole that is large enough, else behind all. So what
// did not change stands where it stood, and the image depends on the one
// before.
func NewAfter(n int, at func(int) Entry, kept func(int) (Extent, bool)) (*Layout, error) {
	if n < 0 || n > math.MaxInt32-1 {
		return nil, fmt.Errorf("laying out an image: %d entries", n)
	}
	l := &Layout{n: n, at: at, kept: kept, parents: make([]int32, n), first: make([]int32, n+2), starts: make([]uint32, n+1)}
	if err := l.findParents(); err != nil {
		return nil, fmt.Errorf("laying out an image: %w", err)
	}
	if err := l.groupChildren(); err != nil {
		return nil, fmt.Errorf("laying out an image: %w", err)
	}
	if err := l.place(); err != nil {
		return nil, fmt.Errorf("laying out an image: %w", err)
	}
	return l, nil
}

// open is a directory whose entries are being met.
type open struct {
	path   string
	number int32
}

func (l *Layout) findParents() error {
	above := []open{{number: -1}}
	for i := range l.n {
		e := l.at(i)
		dir, name := path.Split(e.Path)
		dir = strings.TrimSuffix(dir, "/")
		for len(above) > 1 && above[len(above)-1].path != dir {
			above = above[:len(above)-1]
		}
		in := &above[len(above)-1]
		switch {
		case in.path != dir:
			return fmt.Errorf("entry %q has no directory before it", e.Path)
		case name == "" || name == "." || name == ".." || len(name) > maxName || strings.ContainsRune(name, 0):
			return fmt.Errorf("entry %q has no name that a file may have", e.Path)
		case e.Size < 0 || e.Size > 0 && e.Kind != File || e.Kind == Link && (e.Target == "" || len(e.Target) >= BlockSize):
			return fmt.Errorf("entry %q cannot be so long", e.Path)
		}
		l.parents[i] = in.number
		if e.Kind == Directory {
			above = append(above, open{path: e.Path, number: int32(i)})
		}
	}
	return nil
}

// groupChildren finds what each directory holds, and sorts it by name.
func (l *Layout) groupChildren() error {
	for _, p := range l.parents {
		l.first[p+2]++
	}
	for d := 1; d < len(l.first); d++ {
		l.first[d] += l.first[d-1]
	}
	l.children = make([]int32, l.n)
	next := slices.Clone(l.first)
	for i, p := range l.parents {
		l.children[next[p+1]] = int32(i)
		next[p+1]++
	}
	name := func(i int32) string { return path.Base(l.at(int(i)).Path) }
	for d := range l.n + 1 {
		in := l.in(int32(d - 1))
		for k := 1; k < len(in); k++ {
			if a, b := name(in[k-1]), name(in[k]); a == b {
				return fmt.Errorf("entry %q is there twice", l.at(int(in[k])).Path)
			} else if a > b {
				slices.SortStableFunc(in, func(x, y int32) int { return strings.Compare(name(x), name(y)) })
				k = 0
			}
		}
	}
	return nil
}

// in returns what a directory holds.
func (l *Layout) in(dir int32) []int32 { return l.children[l.first[dir+1]:l.first[dir+2]] }

// place gives each entry its blocks: directories first, then targets of links,
// then files, in the order of the entries but for those that are kept.
func (l *Layout) place() error {
	next := blocksOf(inodes + inodeSize*(int64(l.n)+1))
	give := func(i int, size int64) {
		if size > 0 {
			l.starts[i+1] = uint32(next)
			next += blocksOf(size)
		}
	}
	give(-1, l.dirSize(-1))
	for _, k := range []Kind{Directory, Link} {
		for i := range l.n {
			if e := l.at(i); e.Kind == k {
				give(i, l.size(i, e))
			}
		}
	}
	l.files = uint32(next)
	room := l.keep(next)
	for i := range l.n {
		if e := l.at(i); e.Kind == File && e.Size > 0 && l.starts[i+1] == 0 {
			l.starts[i+1] = uint32(room.take(blocksOf(e.Size)))
		}
		if room.end > math.MaxUint32 {
			return fmt.Errorf("more than %d blocks", uint32(math.MaxUint32))
		}
	}
	l.blocks = uint32(room.end)
	return nil
}

// keep places the files that stay where they were and returns the room that is
// left from a block on. Nobody vouches for what kept says: a file that would lie
// over another, or over the metadata, is not kept.
func (l *Layout) keep(from int64) *room {
	if l.kept == nil {
		return &room{end: from}
	}
	type stay struct {
		i          int
		start, len int64
	}
	var stays []stay
	for i := range l.n {
		e := l.at(i)
		if e.Kind != File || e.Size == 0 {
			continue
		}
		old, ok := l.kept(i)
		if n := blocksOf(e.Size); ok && old.Offset%BlockSize == 0 && n <= blocksOf(old.Size) && old.Offset/BlockSize+n <= math.MaxUint32 {
			stays = append(stays, stay{i, old.Offset / BlockSize, n})
		}
	}
	slices.SortFunc(stays, func(a, b stay) int { return cmp.Compare(a.start, b.start) })
	r := &room{end: from}
	for _, s := range stays {
		if s.start < r.end {
			continue
		}
		if s.start > r.end {
			r.holes = append(r.holes, hole{r.end, s.start - r.end})
		}
		l.starts[s.i+1], r.end = uint32(s.start), s.start+s.len
	}
	return r
}

// room is where files can go, in blocks.
type room struct {
	holes []hole
	end   int64
}

type hole struct{ start, len int64 }

// take finds n blocks that follow each other.
func (r *room) take(n int64) int64 {
	for k := range r.holes {
		h := &r.holes[k]
		if h.len < n {
			continue
		}
		at := h.start
		if h.start, h.len = h.start+n, h.len-n; h.len == 0 {
			r.holes = slices.Delete(r.holes, k, k+1)
		}
		return at
	}
	at := r.end
	r.end += n
	return at
}

// size is what an entry's inode says.
func (l *Layout) size(i int, e Entry) int64 {
	switch e.Kind {
	case Directory:
		return l.dirSize(int32(i))
	case Link:
		return int64(len(e.Target))
	}
	return e.Size
}

func blocksOf(size int64) int64 { return (size + BlockSize - 1) / BlockSize }

// Size is the length of the image.
func (l *Layout) Size() int64 { return int64(l.blocks) * BlockSize }

// Metadata is the length of what WriteMetadata writes.
func (l *Layout) Metadata() int64 { return int64(l.files) * BlockSize }

// Offset is where the content of an entry that is a file begins. What stands
// between its end and the next multiple of BlockSize is zero. An empty file
// has none.
func (l *Layout) Offset(i int) int64 { return int64(l.starts[i+1]) * BlockSize }
