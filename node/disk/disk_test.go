package disk

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
	d := At(filepath.Join(t.TempDir(), "srv", "wordpress"))
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	if name, err := d.Running(); name != "" || err != nil {
		t.Fatalf("running %q, %v", name, err)
	}
	// What a crash between the two steps of an earlier switch leaves.
	if err := os.Symlink("releases/lost", d.Current()+".next"); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"v41", "v42", "v42"} {
		r := d.Release(artifact.DigestOf([]byte(content)))
		if err := os.MkdirAll(r.Dir(), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := d.Point(r); err != nil {
			t.Fatal(err)
		}
		target, err := os.Readlink(d.Current())
		if err != nil || target != "releases/"+r.name {
			t.Errorf("current is %q, %v", target, err)
		}
		if name, err := d.Running(); name != r.name || err != nil {
			t.Errorf("running %q, %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"current", "releases"}, names(t, d.root)); diff != "" {
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
			d := At(t.TempDir())
			if err := place(d.root, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			var misplaced *Misplaced
			if err := d.Prepare(); !errors.As(err, &misplaced) || misplaced.Hint() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLockExcludes(t *testing.T) {
	d := At(t.TempDir())
	unlock, err := d.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := d.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second lock: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		unlock, err := d.Lock(t.Context())
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
	d := At(t.TempDir())
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	r := d.Release(artifact.DigestOf([]byte("v40")))
	for _, name := range []string{r.name, "a", "b", "c", "c.partial"} {
		if err := os.MkdirAll(filepath.Join(d.releases(), name, "wordpress"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Point(r); err != nil {
		t.Fatal(err)
	}
	if err := d.Prune([]string{"b", "gone"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{r.name, "b"}, names(t, d.releases())); diff != "" {
		t.Error(diff)
	}
}

func TestHistory(t *testing.T) {
	d := At(t.TempDir())
	booted := func(version, run string) Booted {
		return Booted{
			Version: artifact.Version(version), Manifest: artifact.DigestOf([]byte(version)),
			Instance: "i-1", Group: "shop", Run: run, At: time.Unix(1, 0).UTC(),
		}
	}
	h, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"v1", "v2", "v3", "v2", "v4"} {
		h = h.With(booted(v, "run of "+v), 3)
	}
	if err := d.WriteHistory(h); err != nil {
		t.Fatal(err)
	}
	got, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	want := History{[]Booted{booted("v4", "run of v4"), booted("v2", "run of v2"), booted("v3", "run of v3")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	other := booted("v4", "run of v4")
	other.Instance = "i-2"
	if !got.Has(booted("v4", "run of v4")) || got.Has(booted("v4", "another run")) || got.Has(other) {
		t.Error("a boot is known by release, instance and run")
	}
	if err := os.WriteFile(filepath.Join(d.root, historyFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if h, err := d.History(); err == nil || len(h.Boots) > 0 {
		t.Errorf("a broken history gave %v, %v", h, err)
	}
}
