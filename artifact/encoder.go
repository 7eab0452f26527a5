package artifact

import (
	"github.com/klauspost/compress/zstd"
)

// encoderName is recorded in every index. Another version of the module, even
// a patch, may write other bytes for the same tree: see TestGoldenDigest.
const encoderName = "github.com/klauspost/compress/zstd@v1.20.3 level=default window=2097152 crc=1"

// maxFrame bounds a frame's plain length for readers, whatever target it was
// planned for.
const maxFrame = 16 << 20

// newEncoder returns an encoder of single frames; each is compressed alone,
// so the number of workers changes no byte.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(2*frameTarget),
		zstd.WithEncoderCRC(true),
	)
}

// newDecoder returns a decoder that gives up above limit plain bytes.
func newDecoder(limit uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(limit),
		zstd.WithDecoderMaxWindow(max(limit, zstd.MinWindowSize)),
	)
}
