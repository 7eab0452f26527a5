package build

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/wpbake/wpbake/artifact"
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
func frameLengths(s artifact.Section) []int64 {
	if s.Plain <= 2*frameTarget {
		return []int64{s.Plain}
	}
	var lengths []int64
	for left := s.Plain; left > 0; left -= frameTarget {
		lengths = append(lengths, min(left, frameTarget))
	}
	return lengths
}

// planSections cuts entries into sections by their paths and sizes alone: it
// is done before anything is read, and a change of one file moves no boundary
// but those beside it. A section ends where the hash of the next path says
// so, never below a quarter of the target or above twice the target.
func planSections(entries []artifact.Member) ([]artifact.Section, error) {
	var sections []artifact.Section
	var open artifact.Section
	flush := func() {
		if open.Last > open.First {
			sections = append(sections, open)
		}
		open = artifact.Section{First: open.Last, Last: open.Last}
	}
	for i := range entries {
		size, err := artifact.TarSize(&entries[i])
		if err != nil {
			return nil, err
		}
		if open.Plain+size > 2*frameTarget || entries[i].Path == artifact.MetaDir ||
			open.Plain >= frameTarget/4 && cutsBefore(entries[i].Path, size) {
			flush()
		}
		open.Last, open.Plain = i+1, open.Plain+size
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
