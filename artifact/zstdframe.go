package artifact

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// BadFrame says why stored bytes are not one plain zstd frame, or nothing. A
// decoder alone takes several frames and skips others, in which anything could
// hide; it allocates what a header asks for before it sees that nothing
// follows. plain is how many bytes must come out; -1 leaves that to the
// decoder.
func BadFrame(b []byte, plain int64) string {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return "has no zstd header"
	}
	switch {
	case h.Skippable:
		return "is a skippable frame"
	case h.DictionaryID != 0:
		return "needs a dictionary"
	case h.WindowSize > MaxWindow && (!h.SingleSegment || h.FrameContentSize > MaxIndex):
		return fmt.Sprintf("asks for a window of %d bytes", h.WindowSize)
	case plain >= 0 && h.HasFCS && h.FrameContentSize != uint64(plain):
		return fmt.Sprintf("announces %d bytes instead of %d", h.FrameContentSize, plain)
	}
	end := h.HeaderSize
	for last := false; !last; {
		if len(b) < end+3 {
			return "is cut short"
		}
		block := int(b[end]) | int(b[end+1])<<8 | int(b[end+2])<<16
		last = block&1 != 0
		end += 3
		if block>>1&3 == 1 {
			end++ // one byte, repeated
		} else {
			end += block >> 3
		}
	}
	if h.HasCheckSum {
		end += 4
	}
	if end != len(b) {
		return "does not end where it should"
	}
	return ""
}
