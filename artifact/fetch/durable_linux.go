package fetch

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncTree makes everything below an open directory durable: one call for its
// whole file system, which is many times faster than one a file.
func syncTree(dir *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd())))
}

func lockFile(f *os.File) (bool, error) { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

func flock(f *os.File, how int) (bool, error) {
	err := unix.Flock(int(f.Fd()), how)
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}
