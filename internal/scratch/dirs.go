package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeDirs makes a directory and those above it, and returns the ones it
// made, outermost first.
func MakeDirs(dir string) (made []string, err error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if up := filepath.Dir(dir); up != dir {
			if made, err = MakeDirs(up); err != nil {
				return made, err
			}
		}
	}
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%q is not a directory", dir)
		}
		return made, err
	}
	return append(made, dir), err
}

// RemoveEmpty removes directories that MakeDirs made, as far as they are
// still empty.
func RemoveEmpty(made []string) {
	for i := len(made) - 1; i >= 0; i-- {
		if os.Remove(made[i]) != nil {
			return
		}
	}
}
