package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

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
	root, err := openTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	_, err = scan(t.Context(), root, excluder{}, nil)
	var te *TreeError
	if !errors.As(err, &te) || te.Rule != RuleUnreadable || te.Path != "closed" {
		t.Errorf("directory: %v", err)
	}
	x, err := newExcluder([]string{"closed"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := scan(t.Context(), root, x, nil)
	if err != nil || len(all.entries) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	_, err = (&treeReader{root: root}).file(&all.entries[0])
	if !errors.As(err, &te) || te.Rule != RuleUnreadable || te.Path != "secret" {
		t.Errorf("file: %v", err)
	}
}
