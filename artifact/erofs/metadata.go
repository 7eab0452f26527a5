package erofs

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"path"
)

// Label is what tells one image from another.
type Label struct {
	UUID [16]byte
	Name string // at most 16 bytes
	Time int64  // of the root and of the image itself, in seconds since 1970
}

const (
	magic       = 0xE0F5E1E2
	checksummed = 1 // feature: the superblock has a checksum
	trueTimes   = 2 // feature: times are those of contents
	blockBits   = 12

	modeDir  = 0o40755
	modeFile = 0o100644
	modeLink = 0o120777
)

// WriteMetadata writes what stands before the first file: superblock, inodes,
// directories and the targets of links. Two layouts of equal entries write
// equal bytes.
func (l *Layout) WriteMetadata(w io.Writer, label Label) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var buf []byte
	block := make([]byte, inodes, BlockSize) // the first one, whose checksum comes last
	l.super(block[superblock:], label)
	next := -1
	for ; next < l.n && len(block) < BlockSize; next++ {
		block = l.inode(block, next, label.Time)
	}
	block = block[:BlockSize]
	// The kernel's CRC is not inverted at the end, Go's is.
	sum := ^crc32.Checksum(block[superblock:], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(block[superblock+4:], sum)
	written := int64(len(block))
	write := func(b []byte) {
		out.Write(b) // its error comes again with Flush
		written += int64(len(b))
	}
	align := func() { write(make([]byte, blocksOf(written)*BlockSize-written)) }
	write(block)
	for ; next < l.n; next++ {
		buf = l.inode(buf[:0], next, label.Time)
		write(buf)
	}
	align()
	l.directory(-1, write)
	align()
	for i := range l.n {
		if l.at(i).Kind == Directory {
			l.directory(int32(i), write)
			align()
		}
	}
	for i := range l.n {
		if e := l.at(i); e.Kind == Link {
			write([]byte(e.Target))
			align()
		}
	}
	return out.Flush()
}

func (l *Layout) super(b []byte, label Label) {
	le := binary.LittleEndian
	le.PutUint32(b, magic)
	le.PutUint32(b[8:], checksummed|trueTimes)
	b[12] = blockBits
	le.PutUint16(b[14:], rootNumber)
	le.PutUint64(b[16:], uint64(l.n)+1)
	le.PutUint64(b[24:], uint64(label.Time))
	le.PutUint32(b[36:], l.blocks)
	copy(b[48:64], label.UUID[:])
	copy(b[64:80], label.Name)
}

// inode appends an entry's inode, the root's for -1.
func (l *Layout) inode(b []byte, i int, rootTime int64) []byte {
	e, size := Entry{Kind: Directory, Time: rootTime}, int64(0)
	if i >= 0 {
		e = l.at(i)
	}
	size = l.size(i, e)
	mode, links := modeFile, 1
	switch e.Kind {
	case Directory:
		mode, links = modeDir, 2
		for _, c := range l.in(int32(i)) {
			if l.at(int(c)).Kind == Directory {
				links++
			}
		}
	case Link:
		mode = modeLink
	}
	le := binary.LittleEndian
	b = append(b, make([]byte, inodeSize)...)
	p := b[len(b)-inodeSize:]
	le.PutUint16(p, 1) // its long form, its data plain and whole
	le.PutUint16(p[4:], uint16(mode))
	le.PutUint64(p[8:], uint64(size))
	le.PutUint32(p[16:], l.starts[i+1])
	le.PutUint32(p[20:], uint32(i+2)) // for programs of 32 bits
	le.PutUint64(p[32:], uint64(e.Time))
	le.PutUint32(p[44:], uint32(links))
	return b
}

// number is an inode's.
func number(i int32) uint64 { return rootNumber + uint64(i+1)*(inodeSize/inodeUnit) }

// A dirent is one name of a directory.
type dirent struct {
	name string
	to   uint64
	kind byte
}

// dirents passes a directory's names in the order of their bytes, its own and
// the one above it among them.
func (l *Layout) dirents(dir int32, use func(dirent)) {
	up := int32(-1)
	if dir >= 0 {
		up = l.parents[dir]
	}
	dots := []dirent{{".", number(dir), fileType(Directory)}, {"..", number(up), fileType(Directory)}}
	for _, c := range l.in(dir) {
		e := l.at(int(c))
		d := dirent{path.Base(e.Path), number(c), fileType(e.Kind)}
		for len(dots) > 0 && dots[0].name < d.name {
			use(dots[0])
			dots = dots[1:]
		}
		use(d)
	}
	for _, d := range dots {
		use(d)
	}
}

func fileType(k Kind) byte {
	switch k {
	case Directory:
		return 2
	case Link:
		return 7
	}
	return 1
}

// dirSize is the length of a directory: full blocks of whole names, and as much
// of the last as it needs.
func (l *Layout) dirSize(dir int32) int64 {
	full, used := int64(0), 0
	l.dirents(dir, func(d dirent) {
		n := direntSize + len(d.name)
		if used+n > BlockSize {
			full, used = full+BlockSize, 0
		}
		used += n
	})
	return full + int64(used)
}

// directory writes a directory's blocks: in each, entries of fixed length, then
// their names.
func (l *Layout) directory(dir int32, write func([]byte)) {
	var names []dirent
	used := 0
	flush := func(padded bool) {
		b := make([]byte, direntSize*len(names), BlockSize)
		for i, d := range names {
			binary.LittleEndian.PutUint64(b[direntSize*i:], d.to)
			binary.LittleEndian.PutUint16(b[direntSize*i+8:], uint16(len(b)))
			b[direntSize*i+10] = d.kind
			b = append(b, d.name...)
		}
		if padded {
			b = b[:BlockSize]
		}
		write(b)
		names, used = names[:0], 0
	}
	l.dirents(dir, func(d dirent) {
		n := direntSize + len(d.name)
		if used+n > BlockSize {
			flush(true)
		}
		names, used = append(names, d), used+n
	})
	flush(false)
}
