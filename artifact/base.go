package artifact

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A base is an artifact on this disk that another one is fetched with the help
// of. Nobody vouches for it: it only says where frames may be, and each is
// compared with what the wanted index says.

// openBase reads a base's index. It returns nil when there is none that could
// be read, and what closes it.
func openBase(name string) (base *earlier, done func()) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, func() {}
	}
	x, err := baseIndex(f)
	if err != nil {
		f.Close()
		return nil, func() {}
	}
	return newEarlier(f, x.frames), func() { f.Close() }
}

var errNoBase = errors.New("no artifact")

// baseIndex finds an index as readers of the seekable format would: from the
// end.
func baseIndex(f *os.File) (*index, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errNoBase
	}
	at := func(off, n int64) ([]byte, error) {
		if off < 0 || n < 0 || n > maxIndex || off > info.Size()-n {
			return nil, errNoBase
		}
		b := make([]byte, n)
		_, err := io.ReadFull(io.NewSectionReader(f, off, n), b)
		return b, err
	}
	foot, err := at(info.Size()-seekTailSize, seekTailSize)
	if err != nil || binary.LittleEndian.Uint32(foot[5:]) != seekFooter {
		return nil, errNoBase
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

// same returns where a frame is that should have the same stored bytes.
func (e *earlier) same(f frame) (located, bool) {
	if e == nil {
		return located{}, false
	}
	at, ok := e.at[f.contentSum]
	return at, ok && at.storedSum == f.storedSum && at.stored == f.stored
}

// holds tells whether all of some frames should be there.
func (e *earlier) holds(frames []frame) bool {
	for i := range frames {
		if _, ok := e.same(frames[i]); !ok {
			return false
		}
	}
	return true
}
