package main

import (
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptReadonly runs a program for which a directory is read-only: by its
// modes, or for root, who is above them, by a mount that only the program sees:
// readonly DIR PROGRAM ARGS...
func scriptReadonly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: readonly DIR PROGRAM [ARGS...]")
	}
	dir := ts.MkAbs(args[0])
	if os.Geteuid() == 0 {
		const mounted = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`
		ts.Check(ts.Exec("unshare", append([]string{"--mount", "sh", "-c", mounted, "sh", dir}, args[1:]...)...))
		return
	}
	ts.Check(chmodDirectories(dir, 0o555))
	defer chmodDirectories(dir, 0o755)
	ts.Check(ts.Exec(args[1], args[2:]...))
}

func chmodDirectories(dir string, mode os.FileMode) error {
	return filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(p, mode)
	})
}
