//go:build !linux

package scratch

import (
	"errors"
	"io/fs"
	"os"
)

func lock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func ours(fs.FileInfo) bool { return false }
