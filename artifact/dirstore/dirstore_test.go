package dirstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/artifact/storetest"
)

// A test binary started with this variable counts in the store it names.
const counterDir = "DIRSTORE_TEST_COUNT_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(counterDir); dir != "" {
		if err := count(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *dirstore.Store {
	t.Helper()
	s, err := dirstore.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) artifact.Store { return open(t, t.TempDir()) })
	storetest.Releases(t, func(t *testing.T) artifact.ReleaseStore { return open(t, t.TempDir()) })
}

func TestNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", ".", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".wpbake-x", "a/.wpbake-x"} {
		if _, err := s.Put(t.Context(), name, storetest.Body(nil), artifact.Condition{}); err == nil {
			t.Errorf("put %q", name)
		}
		if _, err := s.Get(t.Context(), name, 0, -1); err == nil {
			t.Errorf("got %q", name)
		}
	}
}

func TestBodyMustBeWhatItSays(t *testing.T) {
	dir := t.TempDir()
	body := storetest.Body([]byte("one"))
	body.Digest = artifact.DigestOf([]byte("two"))
	if _, err := open(t, dir).Put(t.Context(), "name", body, artifact.Condition{}); err == nil {
		t.Error("a body with another digest was stored")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
		t.Errorf("it left %v", names)
	}
}

// A link that leads out of the store is not followed.
func TestLinksDoNotLeaveTheStore(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := s.Get(t.Context(), "out/secret", 0, -1); err == nil {
		t.Error("read outside the store")
	}
	if _, err := s.Put(t.Context(), "out/new", storetest.Body(nil), artifact.Condition{}); err == nil {
		t.Error("wrote outside the store")
	}
}

const rounds = 25

// Processes take turns too: none may lose another's count.
func TestProcessesTakeTurns(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Put(t.Context(), "counter", storetest.Body([]byte("0 nobody")), artifact.Condition{}); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for range 3 {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), counterDir+"="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	o, err := s.Get(t.Context(), "counter", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := bufio.NewReader(o).ReadString(' ')
	if want := fmt.Sprint(3 * rounds); strings.TrimSpace(got) != want {
		t.Errorf("counted to %q, want %s (%v)", got, want, err)
	}
}

func count(dir string) error {
	s, err := dirstore.New(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	for done := 0; done < rounds; {
		err := increment(s)
		switch {
		case err == nil:
			done++
		case !errors.Is(err, artifact.ErrChanged):
			return err
		}
	}
	return nil
}

func increment(s *dirstore.Store) error {
	ctx := context.Background()
	o, err := s.Get(ctx, "counter", 0, -1)
	if err != nil {
		return err
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		return err
	}
	_, err = s.Put(ctx, "counter", storetest.Body(fmt.Appendf(nil, "%d process %d", n+1, os.Getpid())), artifact.Condition{ETag: o.ETag})
	return err
}
