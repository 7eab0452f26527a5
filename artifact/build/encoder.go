package build

import (
	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
)

// encoderName is recorded in every index. Another version of the module, even
// a patch, may write other bytes for the same tree: see TestGoldenDigest.
const encoderName = "github.com/klauspost/compress/zstd@v1.20.3 level=default window=4194304 crc=1"

// newEncoder returns an encoder of single frames that so many workers share.
// Each frame is compressed alone: their number changes no byte.
func newEncoder(workers int) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(workers),
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(artifact.MaxWindow/2),
		zstd.WithEncoderCRC(true),
	)
}
