package erofs

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Extent is where a file's content stands.
type Extent struct{ Offset, Size int64 }

// ReadSize is the length of an image that nobody vouches for, as its superblock
// says.
func ReadSize(r io.ReaderAt) (int64, error) {
	head := make([]byte, superblock)
	if _, err := r.ReadAt(head, superblock); err != nil {
		return 0, fmt.Errorf("reading superblock: %w", err)
	}
	if binary.LittleEndian.Uint32(head) != magic {
		return 0, fmt.Errorf("reading superblock: there is no EROFS file system")
	}
	return int64(binary.LittleEndian.Uint32(head[36:])) * BlockSize, nil
}

// ReadLayout finds, in an image that nobody vouches for, how long what
// WriteMetadata wrote is and where the files stand, in the order of their
// inodes; files that are empty are left out. It accepts only images in which
// files lie behind the metadata and none lies over another. What it returns
// covers every byte that the file system can reach but the zeros after each
// file; between files there can be holes where New was given places to keep.
func ReadLayout(r io.ReaderAt, size int64) (metadata int64, files []Extent, err error) {
	head := make([]byte, superblock)
	if _, err := r.ReadAt(head, superblock); err != nil {
		return 0, nil, fmt.Errorf("reading superblock: %w", err)
	}
	le := binary.LittleEndian
	n := le.Uint64(head[16:])
	if le.Uint32(head) != magic || head[12] != blockBits || int64(le.Uint32(head[36:]))*BlockSize != size ||
		le.Uint16(head[14:]) != rootNumber || n > uint64(size)/inodeSize {
		return 0, nil, fmt.Errorf("reading superblock: not one of an image of %d bytes as written here", size)
	}
	metadata = blocksOf(inodes+int64(n)*inodeSize) * BlockSize
	in := io.NewSectionReader(r, inodes, int64(n)*inodeSize)
	buf := make([]byte, 1024*inodeSize)
	for {
		k, err := io.ReadFull(in, buf)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return 0, nil, fmt.Errorf("reading inodes: %w", err)
		}
		for p := buf[:k/inodeSize*inodeSize]; len(p) > 0; p = p[inodeSize:] {
			e := Extent{int64(le.Uint32(p[16:])) * BlockSize, int64(le.Uint64(p[8:]))}
			switch {
			case e.Size == 0:
			case e.Size < 0 || e.Size > size-e.Offset:
				return 0, nil, fmt.Errorf("reading inodes: %d bytes at %d are out of place", e.Size, e.Offset)
			case le.Uint16(p[4:]) == modeFile:
				files = append(files, e)
			default:
				metadata = max(metadata, e.end())
			}
		}
		if k < len(buf) {
			break
		}
	}
	return metadata, files, apart(metadata, files)
}

// end is the first byte of the block after it.
func (e Extent) end() int64 { return e.Offset + blocksOf(e.Size)*BlockSize }

// apart refuses files that lie over each other or over the metadata.
func apart(metadata int64, files []Extent) error {
	next := metadata
	for _, e := range slices.SortedFunc(slices.Values(files), func(a, b Extent) int { return cmp.Compare(a.Offset, b.Offset) }) {
		if e.Offset < next {
			return fmt.Errorf("reading inodes: a file of %d bytes at %d is out of place", e.Size, e.Offset)
		}
		next = e.end()
	}
	return nil
}
