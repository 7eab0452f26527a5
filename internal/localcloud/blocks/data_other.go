//go:build !linux

package blocks

import "os"

// nextData takes a file for one without holes.
func nextData(file *os.File, offset int64) (int64, error) { return withinFile(file, offset) }
