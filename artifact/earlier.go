package artifact

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// earlier is an artifact that was made before, by the same encoder and
// planner: frames of equal content are taken from it byte for byte.
type earlier struct {
	io.ReaderAt
	at map[[sha256.Size]byte]located // by sum of content
}

// errEarlier says that an earlier artifact is not what was remembered of it.
var errEarlier = errors.New("an earlier artifact is damaged")

func newEarlier(r io.ReaderAt, frames []frame) *earlier {
	e := &earlier{ReaderAt: r, at: make(map[[sha256.Size]byte]located, len(frames))}
	offset := int64(0)
	for _, f := range frames {
		e.at[f.contentSum] = located{f, offset}
		offset += f.stored
	}
	return e
}

// find returns the frames with these sums of content, if all are there.
func (e *earlier) find(sums [][sha256.Size]byte) ([]located, bool) {
	found := make([]located, len(sums))
	for i, sum := range sums {
		var ok bool
		if found[i], ok = e.at[sum]; !ok {
			return nil, false
		}
	}
	return found, true
}

// read appends a frame's stored bytes to b, compared with their sum.
func (e *earlier) read(f located, b []byte) ([]byte, error) {
	b = append(b, make([]byte, f.stored)...)
	if _, err := e.ReadAt(b, f.offset); err != nil {
		return nil, fmt.Errorf("%w: %w", errEarlier, err)
	}
	if sha256.Sum256(b) != f.storedSum {
		return nil, errEarlier
	}
	return b, nil
}
