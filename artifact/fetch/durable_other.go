//go:build !linux

package fetch

import "os"

func syncTree(dir *os.File) error { return dir.Sync() }

// lockFile takes no lock: nodes run Linux.
func lockFile(*os.File) (bool, error) { return true, nil }
