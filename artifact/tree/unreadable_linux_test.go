package tree

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"golang.org/x/sys/unix"
)

// What the user who builds may not read is refused, with its path. Root may
// read everything, so this thread goes without being root for a while.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "closed"), 0o000), os.WriteFile(filepath.Join(dir, "secret"), nil, 0o000)); err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the scan stays on this thread
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Getuid() == 0 {
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	root, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	listing, err := Scan(t.Context(), root, Excludes{}, nil)
	if err == nil {
		err = listing.Refusal()
	}
	var te *Refused
	if !errors.As(err, &te) || te.Rule != artifact.RuleUnreadable || te.Path != "closed" {
		t.Errorf("directory: %v", err)
	}
	x, err := ParseExcludes([]string{"closed"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := Scan(t.Context(), root, x, nil)
	if err != nil || len(all.Entries) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	_, err = (&Reader{Root: root}).Open(t.Context(), &all.Entries[0])
	if !errors.As(err, &te) || te.Rule != artifact.RuleUnreadable || te.Path != "secret" {
		t.Errorf("file: %v", err)
	}
}
