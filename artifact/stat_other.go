//go:build !linux

package artifact

import (
	"io/fs"
	"os"
	"syscall"
)

// openFlags open a file of a tree: a pipe put in its place does not block.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// stamp is what changes when a file does, as far as every system tells.
type stamp struct {
	dev   uint64
	ino   uint64 // 0: not told
	mode  fs.FileMode
	size  int64
	mtime int64
	ctime int64
}

// stampsTell says that equal stamps mean an unchanged file.
const stampsTell = false

func stampOf(info fs.FileInfo) stamp {
	return stamp{mode: info.Mode(), size: info.Size(), mtime: info.ModTime().UnixNano()}
}
