package bake_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// shop is a tree that a check repairs: its wp-config.php begins with a byte order
// mark.
func shop() artifacttest.Tree {
	t := artifacttest.Tree{
		"index.php":          "<?php require 'wp-blog-header.php';\n",
		"wp-load.php":        "<?php require 'wp-config.php';\n",
		"wp-settings.php":    "<?php\n",
		"wp-blog-header.php": "<?php\n",
		"wp-config.php":      "\xef\xbb\xbf<?php\ndefine( 'DB_NAME', getenv( 'DB_NAME' ) );\n$table_prefix = 'wp_';\n",
		"wp-includes/version.php": "<?php\n$wp_version = '6.8.3';\n$wp_db_version = 60421;\n" +
			"$required_php_version = '7.2.24';\n$required_mysql_version = '5.5.5';\n",
		"wp-admin/admin.php":                    "<?php\n",
		"wp-content/themes/shop/style.css":      "/*\nTheme Name: Shop\nVersion: 2\n*/\n",
		"wp-content/themes/shop/index.php":      "<?php\n",
		"wp-content/themes/shop/large.bin":      strings.Repeat("large", 1_000_000), // fills frames of its own
		"wp-content/themes/shop/assets/new.css": "a{}",
	}
	return t
}

// heard notes what an observer is told.
type heard struct {
	carried, checked, bytes atomic.Int64
}

func (h *heard) Carried(c wordpress.Carried)  { h.carried.Store(int64(len(c.Files))) }
func (h *heard) Checked(bake.Report)          { h.checked.Add(1) }
func (h *heard) Progress(p artifact.Progress) { h.bytes.Store(p.Done) }

// waiveAll lets every finding of the tree pass that would block it.
func waiveAll(t *testing.T, dir string) []rules.Waiver {
	t.Helper()
	r, err := bake.Check(t.Context(), bake.CheckOptions{Tree: dir, Settings: bake.Settings{PHP: bake.NoPHP}})
	artifacttest.Must(t, err)
	if len(r.Repairs.Replace) == 0 {
		t.Fatal("nothing is repaired")
	}
	var all []rules.Waiver
	for _, f := range r.Findings {
		if f.Severity == rules.Block {
			all = append(all, rules.Waiver{ID: f.ID, Path: f.Path, Reason: "a test"})
		}
	}
	return all
}

// counted is a store that counts how often artifacts are read.
type counted struct {
	artifact.Store
	gets atomic.Int64
}

func (c *counted) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	if strings.HasSuffix(name, artifact.TarballName) {
		c.gets.Add(1)
	}
	return c.Store.Get(ctx, name, off, n)
}

// carrying publishes v0, which has assets that the shop has no more.
func carrying(t *testing.T) (*bake.Carry, *counted) {
	t.Helper()
	before := shop()
	before["wp-content/themes/shop/assets/old.css"] = strings.Repeat("b{}", 1000)
	store := &counted{Store: buildtest.Store(t, t.TempDir())}
	b := buildtest.Build(t, build.Options{Tree: before.Write(t, t.TempDir()), Version: "v0"})
	_, err := build.Publish(t.Context(), store, b.Dir, nil)
	artifacttest.Must(t, err)
	return &bake.Carry{Store: store, From: b.Manifest}, store
}

// A repaired tree with carried assets is built by the cache as any other: what is
// unchanged is not looked at again, and of what changed nothing else is read.
func TestRepairedTreeUsesTheCache(t *testing.T) {
	dir := shop().Write(t, t.TempDir())
	carry, store := carrying(t)
	o := bake.Options{Tree: dir, Version: "v1", Cache: t.TempDir(), Waivers: waiveAll(t, dir), Carry: carry, Check: bake.Settings{PHP: bake.NoPHP}}
	out := t.TempDir()
	run := func(o bake.Options, out string) (build.Built, *heard) {
		t.Helper()
		h := &heard{}
		o.Observer = h
		b, err := bake.Build(t.Context(), o, out)
		artifacttest.Must(t, errors.Join(err, b.Forgot))
		return b, h
	}
	time.Sleep(2100 * time.Millisecond) // younger stamps tell nothing
	first, h := run(o, out)
	if h.checked.Load() != 1 || h.carried.Load() != 1 {
		t.Fatalf("checked %d times, %d files carried", h.checked.Load(), h.carried.Load())
	}
	holds(t, first, "wp-config.php", "<?php")
	holds(t, first, "wp-content/themes/shop/assets/old.css", "b{}")
	reads := store.gets.Swap(0)

	again, h := run(o, out)
	if again.Digest != first.Digest || h.checked.Load() != 0 || h.bytes.Load() != 0 {
		t.Errorf("it was built again: %s, checked %d times, %d bytes", again.Digest.Short(), h.checked.Load(), h.bytes.Load())
	}

	artifacttest.Must(t, os.WriteFile(filepath.Join(dir, "wp-load.php"), []byte("<?php // two\n"), 0o644))
	store.gets.Store(0)
	changed, h := run(o, t.TempDir())
	if now := store.gets.Load(); h.checked.Load() != 1 || now >= reads {
		t.Errorf("checked %d times; the other release was read %d times, at first %d", h.checked.Load(), now, reads)
	}
	o.Cache = ""
	if whole, _ := run(o, t.TempDir()); whole.Digest != changed.Digest || whole.Digest == first.Digest {
		t.Errorf("the cache makes %s, a build without it %s", changed.Digest.Short(), whole.Digest.Short())
	}
}

// holds wants a file of a build to begin with a text.
func holds(t *testing.T, b build.Built, name, prefix string) {
	t.Helper()
	s := buildtest.Store(t, filepath.Dir(filepath.Dir(b.Dir)))
	dest := filepath.Join(t.TempDir(), "d")
	_, err := fetch.Release(t.Context(), s, fetch.Options{Version: b.Manifest.Version, Dest: dest})
	artifacttest.Must(t, err)
	got, err := os.ReadFile(filepath.Join(dest, "wordpress", filepath.FromSlash(name)))
	if err != nil || !strings.HasPrefix(string(got), prefix) {
		t.Errorf("%s holds %.20q, %v", name, got, err)
	}
}

// The tree itself is never written to, and a tree that is blocked is told whole.
func TestBlockedTreeIsToldAndNotBuilt(t *testing.T) {
	tree := shop()
	tree["wp-content/dump.sql"] = "CREATE TABLE wp_users (id int);\n"
	dir := tree.Write(t, t.TempDir())
	h, out := &heard{}, t.TempDir()
	_, err := bake.Build(t.Context(), bake.Options{Tree: dir, Version: "v1", Check: bake.Settings{PHP: bake.NoPHP}, Observer: h}, out)
	var blocked *bake.Blocked
	if !errors.As(err, &blocked) || !strings.Contains(err.Error(), "dump.sql") || h.checked.Load() != 1 {
		t.Errorf("got %v, checked %d times", err, h.checked.Load())
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	artifacttest.Diff(t, artifacttest.Read(t, dir), tree)
}

// A setting that names nothing is its caller's to mend.
func TestSettingsThatNameNothing(t *testing.T) {
	dir := shop().Write(t, t.TempDir())
	for name, s := range map[string]bake.Settings{
		"node": {PHP: bake.NoPHP, Node: filepath.Join(dir, "none")}, "checksums": {PHP: bake.NoPHP, Checksums: filepath.Join(dir, "none")}, "php": {PHP: filepath.Join(dir, "none")},
	} {
		_, err := bake.Check(t.Context(), bake.CheckOptions{Tree: dir, Settings: s})
		var setting *bake.SettingError
		if !errors.As(err, &setting) || setting.Hint() == "" || !setting.Misuse() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
