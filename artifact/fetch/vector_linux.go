package fetch

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// writeAll writes pieces after each other from an offset on.
func writeAll(f *os.File, pieces [][]byte, off int64) error {
	for len(pieces) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), pieces, off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		off += int64(n)
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if n > 0 {
			pieces[0] = pieces[0][n:]
		}
	}
	return nil
}

// reserve makes a file as long as it will be and, where the file system can,
// asks for all of its room at once: a full disk is met before a download.
func reserve(f *os.File, size int64) error {
	err := retried(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return f.Truncate(size)
	}
	return os.NewSyscallError("fallocate", err)
}
