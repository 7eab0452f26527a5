package build_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/tier"
	"golang.org/x/sys/unix"
)

// disk mounts a small file system, as only root can.
func disk(t *testing.T, options string) string {
	t.Helper()
	tier.Root(t)
	dir := t.TempDir()
	artifacttest.Must(t, unix.Mount("wpbake-test", dir, "tmpfs", 0, options))
	t.Cleanup(func() { artifacttest.Must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// noise is content that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// full wants one clear line about a full disk that names the directory.
func full(t *testing.T, err error, want syscall.Errno, dir string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// empty wants a directory to hold nothing.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// A disk that is full at any point of a build or a fetch, in bytes or in files,
// or cannot be written to, is one clear line; nothing half done is left.
func TestFullDisk(t *testing.T) {
	all := artifacttest.Tree{"a/one.php": noise(300 << 10), "b/two.php": noise(500 << 10), "c/three.php": noise(200 << 10)}
	for i := range 40 {
		all[fmt.Sprintf("d/%02d/f.php", i)] = noise(i * 100)
	}
	dir := all.Write(t, t.TempDir())
	s, b := buildtest.PublishedAs(t, build.Options{Tree: dir})
	size := b.Manifest.Artifact.Size
	t.Run("build", func(t *testing.T) {
		for part := range int64(8) {
			at := disk(t, fmt.Sprintf("size=%d", size*part/8/4096*4096+4096))
			_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: at, Version: "v1"})
			full(t, err, syscall.ENOSPC, at)
			empty(t, at)
		}
	})
	t.Run("build, no files", func(t *testing.T) {
		for n := 2; n < 6; n++ {
			at := disk(t, fmt.Sprintf("nr_inodes=%d", n))
			_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: at, Version: "v1"})
			full(t, err, syscall.ENOSPC, at)
			empty(t, at)
		}
	})
	t.Run("fetch", func(t *testing.T) {
		for part := range int64(8) {
			at := disk(t, fmt.Sprintf("size=%d", size*part/8/4096*4096+4096))
			full(t, buildtest.Fetch(t.Context(), s, filepath.Join(at, "d")), syscall.ENOSPC, at)
			empty(t, at)
		}
	})
	t.Run("fetch, no files", func(t *testing.T) {
		for n := 2; n < 90; n += 7 {
			at := disk(t, fmt.Sprintf("nr_inodes=%d", n))
			full(t, buildtest.Fetch(t.Context(), s, filepath.Join(at, "d")), syscall.ENOSPC, at)
			empty(t, at)
		}
	})
	t.Run("cannot be written to", func(t *testing.T) {
		at := disk(t, "size=1m")
		artifacttest.Must(t, unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: at, Version: "v1"})
		full(t, err, syscall.EROFS, at)
		full(t, buildtest.Fetch(t.Context(), s, filepath.Join(at, "d")), syscall.EROFS, at)
	})
	t.Run("enough", func(t *testing.T) {
		at := disk(t, fmt.Sprintf("size=%d", size*3))
		built := buildtest.Build(t, build.Options{Tree: dir, Out: filepath.Join(at, "out")})
		artifacttest.Must(t, os.RemoveAll(filepath.Join(at, "out")))
		artifacttest.Must(t, buildtest.Fetch(t.Context(), s, filepath.Join(at, "d")))
		artifacttest.Must(t, fetch.Check(filepath.Join(at, "d"), built.Manifest))
	})
}

// A file of the tree that may be a mount or a device is refused unread, with
// its path; only root can make such.
func TestRefusedTreesOfRoot(t *testing.T) {
	tier.Root(t)
	for _, tt := range []struct {
		name, path, rule string
		make             func(t *testing.T, dir string)
	}{
		{"character device", "dev", artifact.RuleSpecial, func(t *testing.T, d string) {
			artifacttest.Must(t, unix.Mknod(d+"/dev", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))) // endless zeros
		}},
		{"block device", "dev", artifact.RuleSpecial, func(t *testing.T, d string) {
			artifacttest.Must(t, unix.Mknod(d+"/dev", unix.S_IFBLK|0o666, int(unix.Mkdev(7, 99))))
		}},
		{"mount", "wp-content/m", artifact.RuleMount, func(t *testing.T, d string) {
			artifacttest.Must(t, os.MkdirAll(d+"/wp-content/m", 0o755))
			artifacttest.Must(t, unix.Mount("wpbake-test", d+"/wp-content/m", "tmpfs", 0, ""))
			t.Cleanup(func() { artifacttest.Must(t, unix.Unmount(d+"/wp-content/m", unix.MNT_DETACH)) })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, out := artifacttest.Tree{"index.php": "x"}.Write(t, t.TempDir()), filepath.Join(t.TempDir(), "out")
			tt.make(t, dir)
			_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: out, Version: "v1"})
			var te *tree.Refused
			if !errors.As(err, &te) || te.Rule != tt.rule || te.Path != tt.path {
				t.Errorf("got %v", err)
			}
			artifacttest.Gone(t, out)
		})
	}
}
