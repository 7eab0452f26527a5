package fetch_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// metered is a store that counts the bytes it was asked for.
type metered struct {
	artifact.Store
	read int64
}

func (m *metered) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	obj, err := m.Store.Get(ctx, name, off, n)
	if err == nil && n < 0 {
		m.read += obj.Size
	}
	m.read += max(n, 0)
	return obj, err
}

// versions publishes trees as v1, v2 and so on into one store.
func versions(t *testing.T, dir string, trees ...artifacttest.Tree) (*metered, []artifact.Manifest) {
	t.Helper()
	s := &metered{Store: buildtest.Store(t, dir)}
	var all []artifact.Manifest
	for i, tr := range trees {
		o := build.Options{Tree: tr.Write(t, t.TempDir()), Version: artifact.Version("v" + string(rune('1'+i)))}
		if i == 1 {
			o.Prefix = "srv/wordpress" // a prefix is no difference
		}
		b := buildtest.Build(t, o)
		_, err := build.Publish(t.Context(), s, b.Dir, nil)
		artifacttest.Must(t, err)
		all = append(all, b.Manifest)
	}
	return s, all
}

func TestDiff(t *testing.T) {
	before := artifacttest.Sample()
	after := maps.Clone(before)
	after["index.php"] = "<?php // changed\n"
	after["wp-content/new/a.php"] = "new"
	after["block.bin"] = "-> empty.txt"
	after["wp-content/themes/current"] = "-> t-a"
	delete(after, "-leading-hyphen")
	s, m := versions(t, t.TempDir(), before, after)
	s.read = 0
	changes, err := fetch.Diff(t.Context(), s, m[0], m[1])
	artifacttest.Must(t, err)
	var got []string
	for _, c := range changes {
		line := c.Path
		for _, e := range []*artifact.Entry{c.Before, c.After} {
			if e == nil {
				line += " -"
			} else {
				line += " " + e.Kind + e.Target
			}
		}
		got = append(got, line)
		if c.After != nil && c.After.Kind == "file" && c.After.Digest != artifact.DigestOf([]byte(after[c.Path])) {
			t.Errorf("%s has the digest %s", c.Path, c.After.Digest)
		}
	}
	if d := cmp.Diff([]string{
		"-leading-hyphen file -", "block.bin file linkempty.txt", "index.php file file",
		"wp-content/new - directory", "wp-content/new/a.php - file", "wp-content/themes/current linkt linkt-a",
	}, got); d != "" {
		t.Error(d)
	}
	if total := m[0].Artifact.Size + m[1].Artifact.Size; s.read > total/10 {
		t.Errorf("%d of %d bytes were read", s.read, total)
	}
	s.read = 0
	if same, err := fetch.Diff(t.Context(), s, m[0], m[0]); err != nil || len(same) > 0 || s.read > 0 {
		t.Errorf("the same version differs in %v, %v, after %d bytes", same, err, s.read)
	}
}

// An index or a file list that was altered is not compared.
func TestDiffRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	s, m := versions(t, dir, artifacttest.Tree{"a": "1"}, artifacttest.Tree{"a": "2"})
	name := filepath.Join(dir, "releases", "v2", "wordpress.tar.zst")
	whole, err := os.ReadFile(name)
	artifacttest.Must(t, err)
	for i := range whole {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x20
		artifacttest.Must(t, os.WriteFile(name, bad, 0o644))
		changes, err := fetch.Diff(t.Context(), s, m[0], m[1])
		var damaged *artifact.Damaged
		if err == nil && len(changes) == 1 && changes[0].After.Digest == artifact.DigestOf([]byte("2")) {
			continue // in a body, which is not read
		}
		if !errors.As(err, &damaged) {
			t.Fatalf("byte %d: %v, %v", i, changes, err)
		}
	}
}
