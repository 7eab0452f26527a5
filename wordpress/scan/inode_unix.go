//go:build unix

package scan

import (
	"io/fs"
	"syscall"
)

// sysID returns what a file is on its disk, when it has more than one name.
func sysID(info fs.FileInfo) (id [2]uint64, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return id, false
	}
	return [2]uint64{uint64(st.Dev), st.Ino}, true
}
