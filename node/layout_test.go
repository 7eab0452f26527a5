package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestPoint(t *testing.T) {
	l := layout{filepath.Join(t.TempDir(), "srv", "wordpress")}
	if err := l.prepare(); err != nil {
		t.Fatal(err)
	}
	if name, err := l.running(); name != "" || err != nil {
		t.Fatalf("running %q, %v", name, err)
	}
	// What a crash between the two steps of an earlier switch leaves.
	if err := os.Symlink("releases/lost", l.current()+".next"); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"v41", "v42", "v42"} {
		d := artifact.DigestOf([]byte(content))
		if err := os.MkdirAll(l.release(d), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := l.point(d); err != nil {
			t.Fatal(err)
		}
		target, err := os.Readlink(l.current())
		if err != nil || target != "releases/"+d.Short() {
			t.Errorf("current is %q, %v", target, err)
		}
		if name, err := l.running(); name != d.Short() || err != nil {
			t.Errorf("running %q, %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"current", "releases"}, names(t, l.root)); diff != "" {
		t.Error(diff)
	}
}

func TestMisplaced(t *testing.T) {
	for name, place := range map[string]func(root, elsewhere string) error{
		"current is a directory": func(root, _ string) error { return os.Mkdir(filepath.Join(root, "current"), 0o755) },
		"current is a file":      func(root, _ string) error { return os.WriteFile(filepath.Join(root, "current"), nil, 0o644) },
		"current leads out":      func(root, elsewhere string) error { return os.Symlink(elsewhere, filepath.Join(root, "current")) },
		"current climbs":         func(root, _ string) error { return os.Symlink("releases/../../x", filepath.Join(root, "current")) },
		"current is all":         func(root, _ string) error { return os.Symlink("releases", filepath.Join(root, "current")) },
		"releases leads out":     func(root, elsewhere string) error { return os.Symlink(elsewhere, filepath.Join(root, "releases")) },
		"releases is a file":     func(root, _ string) error { return os.WriteFile(filepath.Join(root, "releases"), nil, 0o644) },
		"the release leads out": func(root, elsewhere string) error {
			return errors.Join(
				os.Mkdir(filepath.Join(root, "releases"), 0o755),
				os.Symlink(elsewhere, filepath.Join(root, "releases", "0123456789ab")),
				os.Symlink("releases/0123456789ab", filepath.Join(root, "current")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := layout{t.TempDir()}
			if err := place(l.root, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			var misplaced *Misplaced
			if err := l.prepare(); !errors.As(err, &misplaced) || misplaced.Hint() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLockExcludes(t *testing.T) {
	l := layout{t.TempDir()}
	unlock, err := l.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second lock: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		unlock, err := l.lock(t.Context())
		if err == nil {
			unlock()
		}
		second <- err
	}()
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestPruneKeepsTheRunning(t *testing.T) {
	l := layout{t.TempDir()}
	if err := l.prepare(); err != nil {
		t.Fatal(err)
	}
	d := artifact.DigestOf([]byte("v40"))
	for _, name := range []string{d.Short(), "a", "b", "c", "c.partial"} {
		if err := os.MkdirAll(filepath.Join(l.releases(), name, "wordpress"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.point(d); err != nil {
		t.Fatal(err)
	}
	if err := l.prune([]string{"b", "gone"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{d.Short(), "b"}, names(t, l.releases())); diff != "" {
		t.Error(diff)
	}
}

func TestHistory(t *testing.T) {
	l := layout{t.TempDir()}
	booted := func(version, run string) Booted {
		return Booted{
			Version: artifact.Version(version), Manifest: artifact.DigestOf([]byte(version)),
			Instance: "i-1", Group: "shop", Run: run, At: time.Unix(1, 0).UTC(),
		}
	}
	h, err := l.history()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"v1", "v2", "v3", "v2", "v4"} {
		h = h.with(booted(v, "run of "+v), 3)
	}
	if err := l.writeHistory(h); err != nil {
		t.Fatal(err)
	}
	got, err := l.history()
	if err != nil {
		t.Fatal(err)
	}
	want := history{[]Booted{booted("v4", "run of v4"), booted("v2", "run of v2"), booted("v3", "run of v3")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	other := booted("v4", "run of v4")
	other.Instance = "i-2"
	if !got.has(booted("v4", "run of v4")) || got.has(booted("v4", "another run")) || got.has(other) {
		t.Error("a boot is known by release, instance and run")
	}
	if err := os.WriteFile(filepath.Join(l.root, historyFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if h, err := l.history(); err == nil || len(h.Boots) > 0 {
		t.Errorf("a broken history gave %v, %v", h, err)
	}
}
