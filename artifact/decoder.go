package artifact

import "github.com/klauspost/compress/zstd"

// maxFrame bounds a frame's plain length for readers, whatever target it was
// planned for.
const maxFrame = 16 << 20

// maxWindow is the largest window that a frame may ask for, as zstd's own
// specification advises every reader to allow.
const maxWindow = 8 << 20

// newDecoder returns a decoder that gives up above limit plain bytes, or
// above a window's worth of them.
func newDecoder(limit uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(max(limit, maxWindow)),
		zstd.WithDecoderMaxWindow(maxWindow),
	)
}
