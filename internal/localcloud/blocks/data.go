package blocks

import (
	"io"
	"os"
)

// withinFile is the offset itself while it lies within the file.
func withinFile(file *os.File, offset int64) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if offset >= info.Size() {
		return 0, io.EOF
	}
	return offset, nil
}
