//go:build !linux

package fetch

import "os"

func writeAll(f *os.File, pieces [][]byte, off int64) error {
	for _, p := range pieces {
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func reserve(f *os.File, size int64) error { return f.Truncate(size) }
