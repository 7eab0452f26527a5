package tree

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OpenFlags open a file of a tree: a link put in its place is not followed, a
// pipe put in its place does not block.
const OpenFlags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK

// Stamp is what changes when a file does, as far as a kernel tells.
type Stamp struct {
	Dev, Ino     uint64
	Mode         fs.FileMode
	Size         int64
	Mtime, Ctime int64
}

// StampsTell says that equal stamps mean an unchanged file.
const StampsTell = true

// StampOf is the stamp that a file's information tells.
func StampOf(info fs.FileInfo) Stamp {
	s := Stamp{Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Dev, s.Ino = uint64(sys.Dev), sys.Ino
		s.Ctime = time.Unix(sys.Ctim.Unix()).UnixNano()
	}
	return s
}
