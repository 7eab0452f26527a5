package build_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
)

// laid is a generated tree, and what is to be laid over it.
type laid struct {
	dir      string
	excludes []string
	replace  map[string][]byte // contents by path, also of links
	add      []artifact.File   // of another release
	from     artifact.Manifest
	store    artifact.ReleaseStore
}

// drawLaid draws a tree with links, some of which no release may hold, patterns
// that leave out a part of it, files to repair and files of another release.
func drawLaid(t *testing.T, rt *rapid.T, store artifact.ReleaseStore, from artifact.Manifest) laid {
	name := rapid.StringMatching(`[a-c]{1,2}|x{95}|ä`)
	content := rapid.OneOf(rapid.StringN(0, 20, -1), rapid.Just(strings.Repeat("large ", 20_000)))
	all, paths := artifacttest.Tree{"keep.php": "<?php", "lib/out.php": "-> /usr/share/php/x.php"}, []string{"keep.php", "lib/out.php"}
	for range rapid.IntRange(1, 12).Draw(rt, "entries") {
		p := strings.Join(rapid.SliceOfN(name, 1, 3).Draw(rt, "path"), "/")
		if !room(all, p) {
			continue
		}
		all[p] = content.Draw(rt, "content")
		paths = append(paths, p)
	}
	l := laid{dir: all.Write(t, tempDir(rt)), replace: map[string][]byte{"lib/out.php": []byte("<?php // what the link led to")}, store: store, from: from}
	for _, p := range rapid.SliceOfDistinct(rapid.SampledFrom(paths), rapid.ID[string]).Draw(rt, "repaired") {
		// Of the same size as before, so that sums alone tell the two apart.
		l.replace[p] = []byte(strings.Repeat(rapid.StringMatching("[a-z]").Draw(rt, "repair"), len(all[p])))
	}
	l.excludes = append(tree.DefaultExcludes(), rapid.SliceOfN(rapid.SampledFrom([]string{"a", "/b", "*b", "c/a"}), 0, 2).Draw(rt, "excludes")...)
	files, err := fetch.Files(t.Context(), l.store, l.from)
	if err != nil {
		rt.Fatal(err)
	}
	for _, f := range files {
		if rapid.Bool().Draw(rt, f.Path) {
			l.add = append(l.add, f)
		}
	}
	return l
}

func tempDir(rt *rapid.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "wpbake-test-") // where syncing costs nothing
	if err != nil {
		dir, err = os.MkdirTemp("", "wpbake-test-")
	}
	if err != nil {
		rt.Fatal(err)
	}
	rt.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// build builds the tree with the overlay over it.
func (l laid) build(t *testing.T, o build.Options) (build.Built, error) {
	o.Tree, o.Version, o.Exclude = l.dir, "v1", l.excludes
	b, err := build.Open(o)
	if err != nil {
		return build.Built{}, err
	}
	defer b.Close()
	b.Later(time.Minute)
	scanned, err := b.Scan(t.Context())
	if err != nil {
		return build.Built{}, err
	}
	var over tree.Overlay
	for p, content := range l.replace {
		over.Replace(p, content)
	}
	members := fetch.NewMembers(l.store, l.from, l.add)
	defer members.Close()
	if err := members.Over(&over); err != nil {
		return build.Built{}, err
	}
	all, err := scanned.Lay(over)
	if err != nil {
		return build.Built{}, err
	}
	built, changed, err := b.Pack(t.Context(), build.Work{Scanned: scanned, Laid: all, Key: "k"}, build.Folder(o.Out))
	if changed != nil {
		return build.Built{}, changed
	}
	return built, err
}

// copy makes a tree of its own that has what the overlay says: without any code
// of the overlay's.
func (l laid) copy(t *testing.T, to string) error {
	leave, err := tree.Excluded(l.excludes)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(l.dir, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, _ := filepath.Rel(l.dir, full)
		target := filepath.Join(to, p)
		content, replaced := l.replace[p]
		switch {
		case p != "." && leave(p):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case replaced:
			return os.WriteFile(target, content, 0o644)
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type() == fs.ModeSymlink:
			at, err := os.Readlink(full)
			return errors.Join(err, os.Symlink(at, target))
		}
		b, err := os.ReadFile(full)
		return errors.Join(err, os.WriteFile(target, b, 0o644))
	})
	if err != nil {
		return err
	}
	return fetch.Extract(t.Context(), l.store, l.from, l.add, to)
}

// A tree with an overlay over it is the artifact of a copy that has the overlay's
// files, and so it is when a cache knows the build before, of the same overlay or
// of another.
func TestOverlayIsTheCopiedTree(t *testing.T) {
	store := buildtest.Store(t, t.TempDir())
	other := artifacttest.Tree{"new/deep/one.css": "a{}", "new/two.css": strings.Repeat("b{}", 900_000), "zz.js": ""}
	b := buildtest.Build(t, build.Options{Tree: other.Write(t, t.TempDir()), Version: "v0"})
	if _, err := build.Publish(t.Context(), store, b.Dir, nil); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLaid(t, rt, store, b.Manifest)
		cache := tempDir(rt)
		want := l.buildCopy(t, rt)
		for _, when := range []string{"at first", "again, from the cache"} {
			got, err := l.build(t, build.Options{Out: tempDir(rt), Cache: cache})
			if err != nil {
				rt.Fatal(err)
			}
			if got.Digest != want {
				rt.Fatalf("%s: the overlay makes %s, the copy %s", when, got.Digest.Short(), want.Short())
			}
		}
		// Without repairs the files that stood under them are the tree's.
		l.replace = map[string][]byte{"lib/out.php": l.replace["lib/out.php"]}
		got, err := l.build(t, build.Options{Out: tempDir(rt), Cache: cache})
		if err != nil {
			rt.Fatal(err)
		}
		if want := l.buildCopy(t, rt); got.Digest != want {
			rt.Fatalf("without repairs the tree makes %s, the copy %s", got.Digest.Short(), want.Short())
		}
	})
}

// buildCopy builds a copy that has the overlay's files.
func (l laid) buildCopy(t *testing.T, rt *rapid.T) artifact.Digest {
	copied := tempDir(rt)
	if err := l.copy(t, copied); err != nil {
		rt.Fatal(err)
	}
	b, err := build.Build(t.Context(), build.Options{Tree: copied, Version: "v1", Out: tempDir(rt), Exclude: l.excludes})
	if err != nil {
		rt.Fatal(err)
	}
	return b.Digest
}

// unread is content that must not be read.
type unread struct{ t *testing.T }

func (u unread) Open(context.Context) (io.ReadCloser, error) {
	u.t.Error("what is laid over the tree was read again")
	return nil, errors.ErrUnsupported
}

// What was laid over a tree before is known by its sum: it is not read again, and
// neither is its store.
func TestOverlayIsNotReadAgain(t *testing.T) {
	s := artifacttest.NewSite(t)
	o := build.Options{Tree: s.Dir, Version: "v1", Out: t.TempDir(), Cache: t.TempDir()}
	content := []byte(strings.Repeat("added ", 10_000))
	pack := func(added tree.Content) build.Built {
		b, err := build.Open(o)
		artifacttest.Must(t, err)
		defer b.Close()
		b.Later(time.Minute)
		scanned, err := b.Scan(t.Context())
		artifacttest.Must(t, err)
		var over tree.Overlay
		over.Replace("index.php", []byte("<?php // repaired"))
		m := artifact.Member{Path: "wp-content/plugins/p1/old.css", Size: int64(len(content)), Sum: sha256.Sum256(content)}
		over.Add(m, added)
		all, err := scanned.Lay(over)
		artifacttest.Must(t, err)
		built, changed, err := b.Pack(t.Context(), build.Work{Scanned: scanned, Laid: all, Key: "k"}, build.Folder(o.Out))
		artifacttest.Must(t, err)
		if changed != nil {
			t.Fatal(changed)
		}
		return built
	}
	first := pack(tree.Bytes(content))
	if again := pack(unread{t}); again.Digest != first.Digest {
		t.Errorf("it is %s, not %s", again.Digest.Short(), first.Digest.Short())
	}
}

// Nothing is laid over what is there, below a file, or beside a name that other
// systems take for the same; the error names it.
func TestOverlayRefuses(t *testing.T) {
	dir := artifacttest.Tree{"a/file.php": "x", "Logo.svg": "x"}.Write(t, t.TempDir())
	for p, why := range map[string]string{
		"a/file.php": "the tree has it", "a/file.php/x": "is no directory", "logo.svg": "is the same name", "a/../x": "is no name", "a": "the tree has it",
	} {
		b, err := build.Open(build.Options{Tree: dir, Version: "v1"})
		artifacttest.Must(t, err)
		scanned, err := b.Scan(t.Context())
		artifacttest.Must(t, errors.Join(err, b.Close()))
		var over tree.Overlay
		over.Add(artifact.Member{Path: p}, tree.Bytes(nil))
		if _, err := scanned.Lay(over); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", p, err, why)
		}
	}
}
