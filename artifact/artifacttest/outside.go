package artifacttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

// InMemory returns a new directory, in memory where the system has such.
func InMemory(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wpbake-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// OutsideOf makes a directory that must not change: it has the names that a
// release has, so that what is written through a link meets something.
// A directory may have been written to and be as it was, but for its time.
func OutsideOf(t *testing.T, dir string) (outside string) {
	t.Helper()
	outside = filepath.Join(dir, "outside")
	for _, name := range []string{"sentinel", "one.php", "two.php", "three.css", "a/one.php", "wordpress/a/one.php", "wordpress/sentinel", ".wpbake/SHA256SUMS"} {
		p := filepath.Join(outside, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte("outside"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return outside
}

// Looks describes everything below a directory; times of directories only when
// asked for.
func Looks(t *testing.T, dir string, times bool) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprint(&b, strings.TrimPrefix(p, dir), " ", info.Mode())
		if times || !d.IsDir() {
			fmt.Fprint(&b, " ", info.ModTime().UnixNano())
		}
		content := []byte(nil)
		if d.Type() == 0 {
			content, err = os.ReadFile(p)
		}
		fmt.Fprintln(&b, "", artifact.DigestOf(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Gone wants nothing to stand under a name.
func Gone(tb testing.TB, name string) {
	tb.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		tb.Errorf("%s is there: %v", name, err)
	}
}
