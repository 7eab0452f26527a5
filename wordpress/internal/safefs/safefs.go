// Package safefs reads trees that others made: it opens nothing but regular
// files, and takes no more of one than it was told to.
//
// It refuses to know what is in them.
package safefs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// IsFile reports whether a name leads to a regular file. It looks before
// anything is opened: opening a named pipe would wait for somebody to write
// into it.
func IsFile(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// IsDir reports whether a name leads to a directory.
func IsDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// ReadFile reads at most limit bytes of a file.
func ReadFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// ReadDir lists a directory that need not exist.
func ReadDir(fsys fs.FS, name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	return entries, nil
}
