package artifact

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

var errNoArtifact = errors.New("no artifact")

// FindIndex finds an index as readers of the seekable format would: from the
// end.
func FindIndex(f *os.File) (*Index, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errNoArtifact
	}
	at := func(off, n int64) ([]byte, error) {
		if off < 0 || n < 0 || n > MaxIndex || off > info.Size()-n {
			return nil, errNoArtifact
		}
		b := make([]byte, n)
		_, err := io.ReadFull(io.NewSectionReader(f, off, n), b)
		return b, err
	}
	foot, err := at(info.Size()-seekTailSize, seekTailSize)
	if err != nil || binary.LittleEndian.Uint32(foot[5:]) != seekFooter {
		return nil, errNoArtifact
	}
	entries := int64(binary.LittleEndian.Uint32(foot))
	table := info.Size() - seekTableSize(int(entries)-1)
	last, err := at(info.Size()-seekTailSize-seekEntrySize, seekEntrySize)
	if err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(last))
	packed, err := at(table-size, size)
	if err != nil {
		return nil, err
	}
	text, err := indexText(packed)
	if err != nil {
		return nil, err
	}
	return parseForm(text)
}
