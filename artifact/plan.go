package artifact

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Parameters of the planner, recorded in every index. Changing one changes
// all artifacts: see TestGoldenDigest.
const (
	planner     = "directory"
	frameTarget = 2 << 20
)

// plannerName is recorded in every index.
func plannerName() string { return fmt.Sprintf("%s target=%d", planner, frameTarget) }

// frameLengths are the plain lengths of a section's frames.
func frameLengths(s section) []int64 {
	if s.plain <= 2*frameTarget {
		return []int64{s.plain}
	}
	var lengths []int64
	for left := s.plain; left > 0; left -= frameTarget {
		lengths = append(lengths, min(left, frameTarget))
	}
	return lengths
}

// planSections cuts entries into sections by their paths and sizes alone: it
// is done before anything is read, and a change of one file moves no boundary
// but those beside it. A section ends where the hash of the next path says
// so, never below a quarter of the target or above twice the target.
func planSections(entries []entry) ([]section, error) {
	var sections []section
	var open section
	flush := func() {
		if open.last > open.first {
			sections = append(sections, open)
		}
		open = section{first: open.last, last: open.last}
	}
	for i := range entries {
		size, err := tarSize(&entries[i])
		if err != nil {
			return nil, err
		}
		if open.plain+size > 2*frameTarget || entries[i].path == metaDir ||
			open.plain >= frameTarget/4 && cutsBefore(entries[i].path, size) {
			flush()
		}
		open.last, open.plain = i+1, open.plain+size
	}
	flush()
	return sections, nil
}

// cutsBefore is true for about one path in every two targets' worth of
// entries. The chance grows with the size's power of two, so that a file that
// grows a little keeps its boundary.
func cutsBefore(path string, size int64) bool {
	sum := sha256.Sum256([]byte(path))
	class := uint64(1) << bits.Len64(uint64(size-1))
	chance := min(class, frameTarget) // of two targets
	return binary.BigEndian.Uint64(sum[:])%(2*frameTarget) < chance
}
