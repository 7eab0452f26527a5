package artifact

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	erofsreader "github.com/erofs/go-erofs"
)

// An extractor makes a release's files appear in a directory; whoever adds
// another form of them adds it to extractors, and FuzzExtract tries it.
type extractor struct {
	name    string
	extract func(t *testing.T, s Store, dest string) (Manifest, error)
	// judge compares what was extracted with the release.
	judge func(t *testing.T, dest string, m Manifest, x *index)
}

func extractors() []extractor {
	return []extractor{{
		name: "directory",
		extract: func(t *testing.T, s Store, dest string) (Manifest, error) {
			got, err := Fetch(t.Context(), s, FetchOptions{Version: "v1", Dest: dest})
			return got.Manifest, err
		},
		judge: judgeDirectory,
	}, {
		name: "image",
		extract: func(t *testing.T, s Store, dest string) (Manifest, error) {
			got, err := Fetch(t.Context(), s, FetchOptions{Version: "v1", Dest: dest, As: AsImage})
			return got.Manifest, err
		},
		judge: judgeImage,
	}}
}

// judgeDirectory looks at a directory without any code of Fetch's: it holds
// the index's entries, with the modes and the kinds that a release has.
func judgeDirectory(t *testing.T, dest string, m Manifest, x *index) {
	t.Helper()
	want := map[string]entry{".": {kind: kindDir}, unpackedManifest: {kind: kindFile, size: int64(len(m.Marshal()))}}
	for _, e := range x.entries {
		want[e.path] = e
	}
	err := filepath.WalkDir(dest, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dest, p)
		e, ok := want[rel]
		if !ok {
			t.Errorf("%q is extra", rel)
			return nil
		}
		delete(want, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch e.kind {
		case kindDir:
			ok = info.Mode() == fs.ModeDir|0o755
		case kindFile:
			ok = info.Mode() == 0o644 && info.Size() == e.size
		case kindLink:
			target, _ := os.Readlink(p)
			end, err := filepath.EvalSymlinks(p)
			ok = info.Mode().Type() == fs.ModeSymlink && target == e.target && err == nil && strings.HasPrefix(end, dest+"/wordpress/")
		}
		if !ok {
			t.Errorf("%q is %v of %d bytes", rel, info.Mode(), info.Size())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for p := range want {
		t.Errorf("%q is missing", p)
	}
	if err := Check(dest, m); err != nil {
		t.Error(err)
	}
}

// judgeImage reads an image with another's code.
func judgeImage(t *testing.T, dest string, m Manifest, x *index) {
	t.Helper()
	f, err := os.Open(dest)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	fsys, err := erofsreader.Open(f)
	if err != nil {
		t.Error(err)
		return
	}
	for _, e := range x.entries {
		info, err := fs.Lstat(fsys, e.path)
		if err != nil {
			t.Error(err)
			continue
		}
		kinds := map[kind]fs.FileMode{kindDir: fs.ModeDir, kindLink: fs.ModeSymlink}
		if info.Mode().Type() != kinds[e.kind] || e.kind == kindFile && info.Size() != e.size {
			t.Errorf("%q is %v of %d bytes", e.path, info.Mode(), info.Size())
		}
	}
	if err := CheckImage(t.Context(), dest, m); err != nil {
		t.Error(err)
	}
}

// arena is where a fuzz target unpacks: a directory in memory with something
// beside it that must not change.
type arena struct{ top string }

func newArena(f *testing.F) arena {
	f.Helper()
	a := arena{inMemory(f)}
	for _, dir := range []string{"p", "sentinel"} {
		if err := os.Mkdir(filepath.Join(a.top, dir), 0o755); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(a.top, "sentinel", "s"), []byte("sentinel"), 0o444); err != nil {
		f.Fatal(err)
	}
	return a
}

func (a arena) dest() string { return filepath.Join(a.top, "p", "d") }

// clean wants nothing but dest, if that, and takes it away.
func (a arena) clean(t *testing.T, accepted bool) {
	t.Helper()
	want := []string{}
	if accepted {
		want = []string{"d"}
	}
	for dir, want := range map[string][]string{"p": want, "sentinel": {"s"}, ".": {"p", "sentinel"}} {
		all, err := os.ReadDir(filepath.Join(a.top, dir))
		names := []string{}
		for _, e := range all {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s holds %q, %v", dir, names, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(a.top, "sentinel", "s")); err != nil || string(b) != "sentinel" {
		t.Errorf("the sentinel is %q, %v", b, err)
	}
	if err := os.RemoveAll(a.dest()); err != nil {
		t.Error(err)
	}
}

// FuzzExtract unpacks releases of hostile entries, or with hostile bytes in
// one of their parts, whose digests are all right: the signer was wrong. What
// Verify takes, Fetch takes, and the other way round but for what surrounds
// the tree.
func FuzzExtract(f *testing.F) {
	for _, seed := range extractSeeds() {
		f.Add(seed.recipe, seed.content, seed.cut, byte(seed.where), seed.patch, seed.at)
	}
	a := newArena(f)
	f.Fuzz(func(t *testing.T, text string, content []byte, cut uint16, where byte, with []byte, at uint32) {
		r, ok := parseRecipe(text)
		if !ok || len(content)+len(with) > maxCooked {
			t.Skip("too large")
		}
		c, ok := r.cook(content, max(int(cut), block))
		if !ok {
			t.Skip("no tar can hold it")
		}
		s := c.sign(spoilt(where)%spoilable, with, int(at))
		var verified error
		bounded(t, func() { _, verified = Verify(t.Context(), s, "v1", "") })
		refusal(t, verified)
		for _, how := range extractors() {
			bounded(t, func() {
				got, err := how.extract(t, s, a.dest())
				refusal(t, err)
				// What guards transport alone does not keep a node from unpacking.
				transport := got.Artifact.Digest != DigestOf(s[blobName]) || got.SBOM != nil
				if err != nil && verified == nil || err == nil && verified != nil && !transport {
					t.Errorf("%s: Verify says %v, but here: %v", how.name, verified, err)
				}
				if err == nil {
					oneForm(t, s, got)
					how.judge(t, a.dest(), got, opened(t, s, got))
				}
				a.clean(t, err == nil)
			})
		}
	})
}

// opened opens the index of a release that was accepted; it and the seek table
// are the bytes that are there.
func opened(t *testing.T, s memoryStore, m Manifest) *index {
	t.Helper()
	x, err := fetchIndex(t.Context(), s, m)
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, x, m)
	seek := s[blobName][m.Index.Offset+m.Index.Size:]
	if !bytes.Equal(seek, seekTable(x.frames, m.Index.Size)) {
		t.Error("the seek table is not the index's")
	}
	return x
}

// FuzzOpenArtifact opens any bytes as an artifact, whose index is said to lie
// at any place of them, with the digests that they have.
func FuzzOpenArtifact(f *testing.F) {
	for _, where := range []spoilt{spoiltNothing, spoiltIndexText, spoiltSeekTable, spoiltStored} {
		r, _ := parseRecipe(honestRecipe)
		c, _ := r.cook([]byte("content"), 2048)
		s := c.sign(where, []byte("\n"), 40)
		f.Add(s[blobName], uint32(c.m.Index.Offset), uint32(c.m.Index.Size), uint32(c.m.Tree.Files))
	}
	real := forge(f)
	s := real.seal(real.recompress())
	f.Add(s[blobName], uint32(real.m.Index.Offset), uint32(real.m.Index.Size), uint32(real.m.Tree.Files))
	r, _ := parseRecipe(honestRecipe)
	c, _ := r.cook([]byte("content"), 2048)
	f.Fuzz(func(t *testing.T, blob []byte, offset, size, files uint32) {
		off, end := int64(offset), int64(offset)+int64(size)
		if end > int64(len(blob)) {
			t.Skip("an index outside the artifact: FuzzManifest's matter")
		}
		m := Manifest{Format: Format, Version: "v1", Tree: c.m.Tree, Image: c.m.Image}
		m.Tree.Files = int(files)
		m.Artifact = Blob{Digest: DigestOf(blob), Size: int64(len(blob))}
		m.Index = Section{Digest: DigestOf(blob[off:end]), Offset: off, Size: int64(size)}
		s := memoryStore{blobName: blob, docName: m.Marshal()}
		bounded(t, func() {
			found, digest, err := Find(t.Context(), s, "v1")
			refusal(t, err)
			if err != nil {
				return
			}
			if digest != DigestOf(s[docName]) {
				t.Errorf("the manifest's digest is %s", digest)
			}
			oneForm(t, s, found)
			if _, err := fetchIndex(t.Context(), s, found); err != nil {
				refusal(t, err)
			} else {
				opened(t, s, found)
			}
			verified, err := Verify(t.Context(), s, "v1", digest)
			refusal(t, err)
			if err == nil {
				oneForm(t, s, verified)
			}
		})
	})
}

// seed is an input of FuzzExtract.
type seed struct {
	recipe  string
	content []byte
	cut     uint16
	where   spoilt
	patch   []byte
	at      uint32
}

func extractSeeds() []seed {
	all := []seed{{recipe: honestRecipe, content: []byte("content"), cut: 60000}}
	for _, r := range []string{
		"", "d wordpress", "f 3 ../x", "f 3 /etc/passwd", "f 3 a/b", "d a\nf 3 a", "f 3 a\nf 3 a", "f 3 B\nf 3 a", "f 3 A\nf 3 a",
		"l a -> ../../x\n", "l a -> /etc/passwd", "l a -> b\nl b -> a", "l a -> a", "d d\nl d/l -> ..", "l a -> ../.wpbake/SHA256SUMS",
		"f 3 café", "f 3 cafe\u0301\nf 3 caf\u00e9", "f 3 a\tb", "f 3 .wh.a", "d " + strings.Repeat("long/", 30) + "x",
		"d a\nl a/l -> ../b\nd b\nf 9 b/c", "f 200000 large", "f 3 " + strings.Repeat("n", 256), "d a\nd a/b\nd a/b/c\nf 3 a/b/c/d",
	} {
		all = append(all, seed{recipe: r, content: []byte("x"), cut: 60000}, seed{recipe: r, content: []byte("x"), cut: 512})
	}
	for where := spoiltPlain; where < spoilable; where++ {
		for _, at := range []uint32{0, 5, 156, 700, 1 << 20} {
			all = append(all, seed{honestRecipe, []byte("x"), 60000, where, []byte{'2', 0, 0xff}, at})
		}
	}
	for _, name := range []string{"frames 999999999", "entries 5", fmt.Sprint("\t", int64(1)<<62)} {
		all = append(all, seed{honestRecipe, nil, 60000, spoiltIndexText, []byte(name), 40})
	}
	return all
}

// The fuzz targets start from releases that are accepted, or they would only
// ever see refusals.
func TestRecipeIsFaithful(t *testing.T) {
	for _, cut := range []int{512, 2048, 60000} {
		r, _ := parseRecipe(honestRecipe)
		if r.String() != honestRecipe {
			t.Errorf("the recipe is read as\n%s", r)
		}
		c, ok := r.cook([]byte("content"), cut)
		if !ok {
			t.Fatal("no tar")
		}
		s := c.sign(spoiltNothing, nil, 0)
		m, err := Verify(t.Context(), s, "v1", "")
		if err != nil {
			t.Fatal(err)
		}
		dest := filepath.Join(t.TempDir(), "d")
		if _, err := Fetch(t.Context(), s, FetchOptions{Version: "v1", Dest: dest}); err != nil {
			t.Fatal(err)
		}
		judgeDirectory(t, dest, m, opened(t, s, m))
	}
}
