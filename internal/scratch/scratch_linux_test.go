package scratch_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wpbake/wpbake/internal/scratch"
	"github.com/wpbake/wpbake/internal/tier"
)

const prefix = "wpbake-scratch-"

// A test binary started with this variable makes a directory in the one named,
// and lives until its stdin ends.
const childDir = "SCRATCH_TEST_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		d, err := scratch.New(dir, prefix)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(filepath.Dir(d.Path))
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// child is another process that has a directory; kill ends it as kill -9 does.
func child(t *testing.T, dir string) (path string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	in, err := cmd.StdinPipe()
	check(t, err)
	t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the other process made nothing")
	}
	return lines.Text(), func() {
		check(t, cmd.Process.Kill())
		cmd.Wait()
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestKilled(t *testing.T) {
	tier.Test(t)
	dir := t.TempDir()
	alive, end := child(t, dir)
	dead, kill := child(t, dir)
	for _, p := range []string{alive, dead} {
		check(t, os.MkdirAll(filepath.Join(p, "a/b"), 0o755))
		check(t, os.WriteFile(filepath.Join(p, "a/b/c"), []byte("x"), 0o400))
	}
	kill()
	others := []string{"wpbake-scratch-", "wpbake-scratch-1x", "wpbake-123", "wpbake-scratch-77"}
	for _, name := range others[:3] {
		check(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	check(t, os.WriteFile(filepath.Join(dir, others[3]), nil, 0o644)) // no directory
	outside := t.TempDir()
	check(t, os.Symlink(outside, filepath.Join(dir, "wpbake-scratch-5")))

	mine, err := scratch.New(dir, prefix)
	check(t, err)
	if exists(dead) {
		t.Error("what the dead process left is there")
	}
	if !exists(filepath.Join(alive, "a/b/c")) {
		t.Error("what a living process has is gone")
	}
	for _, name := range append(others, "wpbake-scratch-5") {
		if !exists(filepath.Join(dir, name)) {
			t.Errorf("%s is gone", name)
		}
	}
	if !exists(outside) {
		t.Error("it went through a link")
	}
	end()
	check(t, mine.Remove())
	if exists(filepath.Dir(mine.Path)) {
		t.Error("it is there after it was removed")
	}
	check(t, func() error { d, err := scratch.New(dir, prefix); check(t, err); return d.Remove() }())
	if exists(alive) {
		t.Error("what the other process left is there")
	}
}

// Others may lock the directory that they are given.
func TestLockInside(t *testing.T) {
	d, err := scratch.New(t.TempDir(), prefix)
	check(t, err)
	f, err := os.Open(d.Path)
	check(t, err)
	check(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	check(t, f.Close())
	check(t, d.Remove())
}

// Many make directories at once, each sweeping the others' aside: nobody loses
// one that is in use.
func TestSweepersRace(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				d, err := scratch.New(dir, prefix)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(filepath.Join(d.Path, "x"), nil, 0o644); err != nil {
					t.Error(err)
				}
				if err := d.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestNoPlaceForIt(t *testing.T) {
	if _, err := scratch.New(filepath.Join(t.TempDir(), "missing"), prefix); err == nil {
		t.Error("made in a directory that is not there")
	}
}
