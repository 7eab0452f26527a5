package artifact

import "encoding/binary"

// Numbers of the zstd seekable format, which other readers seek by.
const (
	seekMagic     = 0x184D2A5E // the skippable frame
	seekFooter    = 0x8F92EAB1
	seekTailSize  = 9
	seekEntrySize = 8
)

// SeekTable follows from the index. The index frame counts as a frame with no
// plain bytes.
func SeekTable(frames []Frame, indexSize int64) []byte {
	n := len(frames) + 1
	b := make([]byte, 0, seekTableSize(len(frames)))
	b = binary.LittleEndian.AppendUint32(b, seekMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(n*seekEntrySize+seekTailSize))
	for i := range frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(frames[i].Stored))
		b = binary.LittleEndian.AppendUint32(b, uint32(frames[i].Plain))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(indexSize))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(b, 0) // descriptor: no checksums
	return binary.LittleEndian.AppendUint32(b, seekFooter)
}

func seekTableSize(frames int) int64 {
	return skipHeader + int64(frames+1)*seekEntrySize + seekTailSize
}
