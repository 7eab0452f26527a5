package fetch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/wpbake/wpbake/artifact"
)

// Previous is an artifact that was made before, by the same encoder and
// planner: frames of equal content are taken from it byte for byte.
type Previous struct {
	io.ReaderAt
	at map[[sha256.Size]byte]artifact.Located // by sum of content
}

// errPrevious says that an earlier artifact is not what was remembered of it.
var errPrevious = errors.New("an earlier artifact is damaged")

// NewPrevious knows an artifact by its frames, in order.
func NewPrevious(r io.ReaderAt, frames []artifact.Frame) *Previous {
	e := &Previous{ReaderAt: r, at: make(map[[sha256.Size]byte]artifact.Located, len(frames))}
	offset := int64(0)
	for _, f := range frames {
		e.at[f.ContentSum] = artifact.Located{Frame: f, Offset: offset}
		offset += f.Stored
	}
	return e
}

// Find returns the frames with these sums of content, if all are there.
func (e *Previous) Find(sums [][sha256.Size]byte) ([]artifact.Located, bool) {
	found := make([]artifact.Located, len(sums))
	for i, sum := range sums {
		var ok bool
		if found[i], ok = e.at[sum]; !ok {
			return nil, false
		}
	}
	return found, true
}

// Read appends a frame's stored bytes to b, compared with their sum.
func (e *Previous) Read(f artifact.Located, b []byte) ([]byte, error) {
	b = append(b, make([]byte, f.Stored)...)
	if _, err := e.ReadAt(b, f.Offset); err != nil {
		return nil, fmt.Errorf("%w: %w", errPrevious, err)
	}
	if sha256.Sum256(b) != f.StoredSum {
		return nil, errPrevious
	}
	return b, nil
}
