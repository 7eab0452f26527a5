package build_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
)

// shape is what a release keeps of an entry on disk.
type shape struct {
	kind    fs.FileMode
	mode    fs.FileMode
	content string // of a file, or a link's target
	time    int64  // of a file
}

// shapesOf walks a directory without any code of this package's.
func shapesOf(t *testing.T, dir string) map[string]shape {
	t.Helper()
	all := map[string]shape{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := shape{kind: info.Mode().Type(), mode: info.Mode() &^ fs.ModeType}
		switch s.kind {
		case 0:
			b, err := os.ReadFile(p)
			s.content, s.time = string(b), info.ModTime().UnixNano()
			all[p[len(dir)+1:]] = s
			return err
		case fs.ModeSymlink:
			s.content, err = os.Readlink(p)
		}
		all[p[len(dir)+1:]] = s
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// normalise says what a release makes of a tree: modes are one of two, and a
// file's time follows from its content, by FORMAT.md and not by our code.
func normalise(tree map[string]shape) map[string]shape {
	all := maps.Clone(tree)
	for p, s := range all {
		switch s.kind {
		case 0:
			sum := sha256.Sum256([]byte(s.content))
			s.mode, s.time = 0o644, (1262304000+int64(binary.BigEndian.Uint32(sum[:4])>>4))*1e9
		case fs.ModeDir:
			s.mode = 0o755
		case fs.ModeSymlink:
			s.mode = 0o777
		}
		all[p] = s
	}
	return all
}

// plant makes a tree of lines, one an entry: a letter for the kind, a path, and
// after a "=" the content, target or mode. What the file system refuses to
// make is not there.
func plant(t *testing.T, dir, text string) {
	t.Helper()
	root, err := os.OpenRoot(dir) // a link planted before leads nowhere
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.Contains(line, "\x00") {
			continue
		}
		name, rest, _ := strings.Cut(line[1:], "=")
		if up := filepath.Dir(name); up != "." {
			root.MkdirAll(up, 0o755)
		}
		switch line[0] {
		case 'd':
			root.MkdirAll(name, 0o755)
		case 'l':
			root.Symlink(rest, name)
		case 'x':
			root.WriteFile(name, []byte(rest), 0o755)
		case 'p':
			plantPipe(root, name)
		case 'h':
			root.Link(rest, name)
		case 'r': // content that repeats
			root.WriteFile(name, artifacttest.Fill([]byte(rest), min(int64(len(rest))*int64(len(rest)), 1<<20)), 0o600)
		case 's':
			root.WriteFile(name, []byte(rest), 0o644)
			root.Chmod(name, 0o644|fs.ModeSticky)
		default:
			root.WriteFile(name, []byte(rest), 0o640)
		}
	}
}

// plantPipe makes a named pipe in the one directory that is certain to be
// inside.
func plantPipe(root *os.Root, name string) {
	if !strings.Contains(name, "/") && name != "" && name != ".." && name != "." {
		syscall.Mkfifo(filepath.Join(root.Name(), name), 0o644)
	}
}

// plain tells whether a tree is of the kind that any release may hold: then it
// must not be refused.
func plain(tree map[string]shape) bool {
	for p, s := range tree {
		if s.kind&^fs.ModeDir != 0 || s.mode&^fs.ModePerm != 0 || strings.Count(p, "/") > 20 || len(p) > 500 ||
			strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789/-_") != "" {
			return false
		}
	}
	return true
}

// FuzzBuildFetch builds any tree that a file system can hold and fetches it
// again: it is what went in, normalised. What is refused has a rule and a path;
// a plain tree is not refused.
func FuzzBuildFetch(f *testing.F) {
	for _, seed := range []string{
		"", "fa=x", "fa=x\nfb=", "da\nfa/b=c\nxa/c=d", "la=b\nfb=x", "la=/etc/passwd", "la=../x", "la=a", "la=b\nlb=a", "fa=x\nfA=y",
		"pa", "fb=x\nha=b", "sa=x", "fz/y/x=1\nlz/l=y/x\nlz/m=l", "fa\tb=x", "fa\xff=x", "fa\\b=x", "f.wh.a=x", "fcafé=x\nfcafe\u0301=x",
		"r" + "large=" + strings.Repeat("0123456789abcdef", 64), "da/b/c/d/e\nda/b2", "f-=x", "f a=x", "fa=x\nla/b=c", "dd\nld/l=..", "dd\nld/l=../d/.",
		"f" + strings.Repeat("n", 255) + "=x", "f" + strings.Repeat("d/", 70) + "x=y", "fZürich/straße=x", "f.wpbake/x=y", "f.git/x=y",
	} {
		f.Add(seed)
	}
	top := artifacttest.InMemory(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			t.Skip("too large")
		}
		for _, name := range []string{"tree", "out", "again", "p"} {
			if err := errors.Join(os.RemoveAll(filepath.Join(top, name)), os.Mkdir(filepath.Join(top, name), 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		plant(t, filepath.Join(top, "tree"), text)
		want := shapesOf(t, filepath.Join(top, "tree"))
		// In the bubble time is long before the files were written: nothing
		// waits for their stamps to grow old.
		artifacttest.Bounded(t, func() {
			synctest.Test(t, func(t *testing.T) { buildFetch(t, top, want, len(text)%4 == 0) })
		})
	})
}

// buildFetch judges one tree; twice builds what was fetched again.
func buildFetch(t *testing.T, top string, want map[string]shape, twice bool) {
	options := func(tree, out string) build.Options {
		return build.Options{Tree: filepath.Join(top, tree), Out: filepath.Join(top, out), Version: "v1", Exclude: []string{}}
	}
	b, err := build.Build(t.Context(), options("tree", "out"))
	if err != nil {
		var te *tree.Refused
		if !errors.As(err, &te) || te.Rule == "" || te.Path == "" || te.Hint() == "" || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("not a refusal: %v", err)
		} else if _, ok := want[te.Path]; !ok && te.Rule != artifact.RuleDepth {
			t.Errorf("there is no %q: %v", te.Path, err)
		}
		if plain(want) {
			t.Errorf("a plain tree is refused: %v", err)
		}
		if left, _ := os.ReadDir(filepath.Join(top, "out")); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
		return
	}
	dest := filepath.Join(top, "p", "d")
	m := fetchBuilt(t, b, dest)
	got := shapesOf(t, filepath.Join(dest, "wordpress"))
	if want := normalise(want); !maps.Equal(got, want) {
		t.Errorf("%+v went in, %+v came out", want, got)
	}
	if names := slices.Sorted(maps.Keys(shapesOf(t, dest))); len(names) != len(got)+4 {
		t.Errorf("there is more than the tree: %q", names)
	}
	if m.Digest() != b.Digest {
		t.Errorf("built %s, fetched %s", b.Digest, m.Digest())
	}
	if !twice {
		return
	}
	again, err := build.Build(t.Context(), options("p/d/wordpress", "again"))
	if err != nil || again.Digest != b.Digest {
		t.Errorf("built %s of what was fetched, not %s: %v", again.Digest, b.Digest, err)
	}
}

// fetchBuilt fetches what stands on disk.
func fetchBuilt(t *testing.T, b build.Built, dest string) artifact.Manifest {
	t.Helper()
	s := inStore(t, b)
	if _, err := fetch.Verify(t.Context(), s, "v1", b.Digest); err != nil {
		t.Fatal(err)
	}
	got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest, Digest: b.Digest})
	if err != nil {
		t.Fatal(err)
	}
	artifacttest.OneForm(t, s, got.Manifest)
	return got.Manifest
}

// inStore reads what stands on disk into a store.
func inStore(t *testing.T, b build.Built) artifacttest.Memory {
	t.Helper()
	s := artifacttest.Memory{}
	for name, file := range map[string]string{artifacttest.ManifestObject: artifact.ManifestName, artifacttest.TarballObject: artifact.TarballName} {
		var err error
		if s[name], err = os.ReadFile(filepath.Join(b.Dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
