package erofs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// The kernel reads the same tree, from an image on any file system.
func TestMount(t *testing.T) {
	tier.Test(t)
	tier.Need(t, "root", os.Getuid() == 0)
	tree := sample()
	b := image(t, tree)
	for name, format := range map[string][]string{"tmpfs": nil, "ext4": {"mkfs.ext4", "-q"}, "xfs": {"mkfs.xfs", "-q"}} {
		t.Run(name, func(t *testing.T) {
			disk := t.TempDir()
			if format == nil {
				run(t, "mount", "-t", "tmpfs", "tmpfs", disk)
			} else {
				file := filepath.Join(t.TempDir(), "disk")
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(file, 400<<20); err != nil {
					t.Fatal(err)
				}
				run(t, program(t, format[0]), append(format[1:], file)...)
				run(t, "mount", "-o", "loop", file, disk)
			}
			unmountLater(t, disk)
			mountAndCompare(t, filepath.Join(disk, "image"), b, tree)
		})
	}
}

func mountAndCompare(t *testing.T, file string, b []byte, tree tree) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	run(t, "mount", "-t", "erofs", "-o", "ro,loop", file, at)
	unmountLater(t, at)
	compare(t, os.DirFS(at), tree)
	info, err := os.Stat(at)
	if err != nil || info.ModTime().Unix() != label().Time {
		t.Errorf("the root: %v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(at, "shell.php"), nil, 0o644); err == nil {
		t.Error("a file was written into the image")
	}
	out, err := exec.Command("blkid", "-p", file).Output()
	if err != nil || !strings.Contains(string(out), `LABEL="test"`) || !strings.Contains(string(out), `UUID="01020304-0506-0708-0900-000000000000"`) {
		t.Errorf("blkid says %s, %v", out, err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func unmountLater(t *testing.T, at string) {
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
}

func program(tb testing.TB, name string) string {
	tb.Helper()
	p, err := exec.LookPath(name)
	tier.Need(tb, name, err == nil)
	return p
}
