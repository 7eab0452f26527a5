package artifact

import (
	"github.com/klauspost/compress/zstd"
)

// encoderName is recorded in every index. Another version of the module, even
// a patch, may write other bytes for the same tree: see TestGoldenDigest.
const encoderName = "github.com/klauspost/compress/zstd@v1.20.3 level=default window=4194304 crc=1"

// maxFrame bounds a frame's plain length for readers, whatever target it was
// planned for.
const maxFrame = 16 << 20

// newEncoder returns an encoder of single frames that so many workers share.
// Each frame is compressed alone: their number changes no byte.
func newEncoder(workers int) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(workers),
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(maxWindow/2),
		zstd.WithEncoderCRC(true),
	)
}

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
