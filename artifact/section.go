package artifact

import (
	"crypto/sha256"
	"fmt"
)

// Section is a run of whole entries that can be unpacked without any other.
// It fills one frame; only an entry longer than twice the target fills more.
type Section struct {
	First, Last int   // entries [first, last)
	Plain       int64 // bytes of tar
}

// ContentSums returns a sum for each of the n frames of a section: of what
// their plain bytes follow from. Frames with equal ones hold equal bytes, and
// these are known without making the bytes, or reading them.
func ContentSums(members []Member, n int) [][sha256.Size]byte {
	var lines []byte
	for i := range members {
		lines = appendTreeLine(lines, &members[i])
	}
	sums := make([][sha256.Size]byte, n)
	for i := range sums {
		sums[i] = sha256.Sum256(fmt.Appendf(lines[:len(lines):len(lines)], "frame %d\n", i))
	}
	return sums
}
