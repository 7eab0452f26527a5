//go:build unix

package wordpress

import (
	"io/fs"
	"syscall"
)

// hardLink returns what a file is on its disk, and whether it has more than
// one name.
func hardLink(info fs.FileInfo) ([2]uint64, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return [2]uint64{}, false
	}
	return [2]uint64{uint64(st.Dev), st.Ino}, true
}
