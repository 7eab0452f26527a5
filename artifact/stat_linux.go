package artifact

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openFlags open a file of a tree: a link put in its place is not followed, a
// pipe put in its place does not block.
const openFlags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK

// stamp is what changes when a file does, as far as a kernel tells.
type stamp struct {
	dev, ino     uint64
	mode         fs.FileMode
	size         int64
	mtime, ctime int64
}

// stampsTell says that equal stamps mean an unchanged file.
const stampsTell = true

func stampOf(info fs.FileInfo) stamp {
	s := stamp{mode: info.Mode(), size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(sys.Dev), sys.Ino
		s.ctime = time.Unix(sys.Ctim.Unix()).UnixNano()
	}
	return s
}
