package artifact

import "github.com/klauspost/compress/zstd"

// maxFrame bounds a frame's plain length for readers, whatever target it was
// planned for.
const maxFrame = 16 << 20

// MaxWindow is the largest window that a frame may ask for, as zstd's own
// specification advises every reader to allow.
const MaxWindow = 8 << 20

// NewDecoder returns a decoder that gives up above limit plain bytes, or
// above a window's worth of them.
func NewDecoder(limit uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(max(limit, MaxWindow)),
		zstd.WithDecoderMaxWindow(MaxWindow),
	)
}
