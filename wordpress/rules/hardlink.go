package rules

import "io/fs"

// fileID returns what a file is on its disk, where that can tell two names of
// one file. A tree whose file information says it itself is believed.
func fileID(info fs.FileInfo) (id [2]uint64, ok bool) {
	if f, told := info.(interface{ FileID() ([2]uint64, bool) }); told {
		return f.FileID()
	}
	return sysID(info)
}
