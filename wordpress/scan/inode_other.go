//go:build !unix

package scan

import "io/fs"

func sysID(fs.FileInfo) (id [2]uint64, ok bool) { return id, false }
