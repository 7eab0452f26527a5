//go:build !linux

package tree

import (
	"io/fs"
	"os"
	"syscall"
)

// OpenFlags open a file of a tree: a pipe put in its place does not block.
const OpenFlags = os.O_RDONLY | syscall.O_NONBLOCK

// Stamp is what changes when a file does, as far as every system tells.
type Stamp struct {
	Dev   uint64
	Ino   uint64 // 0: not told
	Mode  fs.FileMode
	Size  int64
	Mtime int64
	Ctime int64
}

// StampsTell says that equal stamps mean an unchanged file.
const StampsTell = false

// StampOf is the stamp that a file's information tells.
func StampOf(info fs.FileInfo) Stamp {
	return Stamp{Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime().UnixNano()}
}
