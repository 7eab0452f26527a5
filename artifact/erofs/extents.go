package erofs

import (
	"encoding/binary"
	"fmt"
	"io"
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

// ReadLayout finds, in an image that nobody vouches for, what WriteMetadata
// wrote and where the files stand. It accepts only images in which they follow
// each other without a gap up to the end, as New places them; files that are
// empty are left out. What it returns covers every byte of the image but the
// zeros after each file.
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
	in := io.NewSectionReader(r, inodes, int64(n)*inodeSize)
	buf := make([]byte, 1024*inodeSize)
	next := int64(0)
	for {
		k, err := io.ReadFull(in, buf)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return 0, nil, fmt.Errorf("reading inodes: %w", err)
		}
		for p := buf[:k/inodeSize*inodeSize]; len(p) > 0; p = p[inodeSize:] {
			e := Extent{int64(le.Uint32(p[16:])) * BlockSize, int64(le.Uint64(p[8:]))}
			if le.Uint16(p[4:]) != modeFile || e.Size == 0 {
				continue
			}
			if files == nil {
				metadata, next = e.Offset, e.Offset
			}
			if e.Offset != next || e.Size < 0 || e.Size > size-next {
				return 0, nil, fmt.Errorf("reading inodes: a file of %d bytes at %d is out of place", e.Size, e.Offset)
			}
			next += blocksOf(e.Size) * BlockSize
			files = append(files, e)
		}
		if k < len(buf) {
			break
		}
	}
	if files == nil {
		metadata, next = size, size
	}
	if next != size {
		return 0, nil, fmt.Errorf("reading inodes: the last file ends at %d of %d bytes", next, size)
	}
	return metadata, files, nil
}
