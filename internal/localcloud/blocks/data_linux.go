package blocks

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// nextData is where the next byte that is no hole lies, from offset on.
func nextData(file *os.File, offset int64) (int64, error) {
	at, err := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return 0, io.EOF
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return withinFile(file, offset)
	}
	return at, err
}
