package build

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/tree"
	"pgregory.net/rapid"
)

// buildSite builds the site at a time later than now, which makes stamps old
// enough to tell.
func buildSite(s *artifacttest.Site, o Options, later time.Duration) Built {
	s.T.Helper()
	o.Tree = s.Dir
	if o.Version == "" {
		o.Version = "v1"
	}
	b, err := Open(o)
	if err != nil {
		s.T.Fatal(err)
	}
	defer b.Close()
	b.now = func() time.Time { return time.Now().Add(later) }
	built, err := b.asItIs(s.T.Context(), Folder(o.Out))
	if err != nil || built.Forgot != nil {
		s.T.Fatal(err, built.Forgot)
	}
	return built
}

// cached builds with a cache and demands the bytes of a build without.
func cached(s *artifacttest.Site, o Options, later time.Duration) Built {
	s.T.Helper()
	got := buildSite(s, o, later)
	want := buildSite(s, Options{Out: s.T.TempDir(), Version: o.Version}, 0)
	for _, name := range []string{artifact.TarballName, artifact.ManifestName} {
		g, err := os.ReadFile(filepath.Join(got.Dir, name))
		if err != nil {
			s.T.Fatal(err)
		}
		w, err := os.ReadFile(filepath.Join(want.Dir, name))
		if err != nil {
			s.T.Fatal(err)
		}
		if !bytes.Equal(g, w) {
			s.T.Fatalf("%s differs from that of a build without a cache", name)
		}
	}
	return got
}

// A tree is changed in all ways, again and again; with what was remembered of
// it the artifact is the one that is built without.
func TestCacheChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := artifacttest.NewSite(t)
		o := Options{Out: t.TempDir(), Cache: t.TempDir()}
		for range rapid.IntRange(2, 3).Draw(rt, "builds") {
			cached(s, o, rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(rt, "later"))
			s.Change(rt)
		}
	})
}

// What is unchanged is neither read nor written: the tree's files cannot be
// opened, and the artifact stays the same file.
func TestUnchangedTreeIsNotRead(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := Options{Out: t.TempDir(), Cache: t.TempDir()}
	first := cached(s, o, time.Minute)
	before := stampIn(t, first.Dir)
	read := 0
	o.Progress = func(artifact.Progress) { read++ }
	if again := buildSite(s, o, time.Minute); again.Digest != first.Digest || read > 0 || stampIn(t, again.Dir) != before {
		t.Errorf("it was built again: %s, %d calls of progress", again.Digest.Short(), read)
	}
	if err := os.Remove(filepath.Join(first.Dir, artifact.ManifestName)); err != nil {
		t.Fatal(err)
	}
	cached(s, o, time.Minute) // it is not whole, and made again
	o.Version = "v2"          // another folder: frames are taken, files still not read
	cached(s, o, time.Minute)
	// The other version's artifact is the one that is remembered now.
	o.Version = "v1"
	cached(s, o, time.Minute)
}

func stampIn(t *testing.T, dir string) tree.Stamp {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, artifact.TarballName))
	if err != nil {
		t.Fatal(err)
	}
	return tree.StampOf(info)
}

// A file that was changed just before it was built is read again, whatever
// its stamp says.
func TestYoungStampsAreNotTrusted(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := Options{Out: t.TempDir(), Cache: t.TempDir()}
	buildSite(s, o, 0)
	b, err := os.ReadFile(filepath.Join(onlyDir(t, o.Cache), stateName))
	if err != nil {
		t.Fatal(err)
	}
	r, ok := parseState(b)
	if !ok {
		t.Fatal("the state cannot be read")
	}
	for i := range r.tree.Entries {
		if f := &r.tree.Entries[i]; f.Kind == artifact.KindFile && f.Stamp != (tree.Stamp{}) {
			t.Errorf("%q is trusted", f.Path)
		}
	}
}

func onlyDir(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return filepath.Join(dir, all[0].Name())
}

// TestDamagedCache damages what is remembered; the next build does not mind.
func TestDamagedCache(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, tt := range []struct {
		name, file string
		damage     func(b []byte) []byte
	}{
		{"state flipped", stateName, flip},
		{"state cut", stateName, func(b []byte) []byte { return b[:len(b)/3] }},
		{"state empty", stateName, func([]byte) []byte { return nil }},
		{"artifact flipped", artifact.TarballName, flip},
		{"artifact cut", artifact.TarballName, func(b []byte) []byte { return b[:len(b)/3] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := artifacttest.NewSite(t)
			o := Options{Out: t.TempDir(), Cache: t.TempDir()}
			cached(s, o, time.Minute)
			name := filepath.Join(onlyDir(t, o.Cache), tt.file)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, tt.damage(b), 0o644); err != nil { // in place: Out's file too
				t.Fatal(err)
			}
			s.Write("index.php", "<?php // two")
			cached(s, o, time.Minute)
			cached(s, o, time.Minute)
		})
	}
}

// A cache that cannot be written is told, and fails nothing.
func TestCacheThatCannotBeWritten(t *testing.T) {
	s := artifacttest.NewSite(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := Build(t.Context(), Options{Tree: s.Dir, Out: t.TempDir(), Version: "v1", Cache: file})
	if err != nil || built.Forgot == nil {
		t.Errorf("got %v, and forgot %v", err, built.Forgot)
	}
}

// Caches of trees that nobody builds any more go away, and nothing else does.
func TestOldCachesGo(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := Options{Out: t.TempDir(), Cache: t.TempDir()}
	old, foreign := filepath.Join(o.Cache, strings.Repeat("a", 32)), filepath.Join(o.Cache, "precious")
	for _, dir := range []string{old, foreign} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-2 * keepUnused)
		if err := os.Chtimes(dir, past, past); err != nil {
			t.Fatal(err)
		}
	}
	buildSite(s, o, 0)
	if _, err := os.Lstat(old); err == nil {
		t.Error("the old cache is still there")
	}
	if _, err := os.Lstat(foreign); err != nil {
		t.Error(err)
	}
}
