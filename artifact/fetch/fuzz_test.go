package fetch_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/fetch"

	erofsreader "github.com/erofs/go-erofs"
)

// An extractor makes a release's files appear in a directory; whoever adds
// another form of them adds it to extractors, and FuzzExtract tries it.
type extractor struct {
	name    string
	extract func(t *testing.T, s artifact.Store, dest string) (artifact.Manifest, error)
	// judge compares what was extracted with the release.
	judge func(t *testing.T, dest string, m artifact.Manifest, x *artifact.Index)
}

func extractors() []extractor {
	return []extractor{{
		name: "directory",
		extract: func(t *testing.T, s artifact.Store, dest string) (artifact.Manifest, error) {
			got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest})
			return got.Manifest, err
		},
		judge: judgeDirectory,
	}, {
		name: "image",
		extract: func(t *testing.T, s artifact.Store, dest string) (artifact.Manifest, error) {
			got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest, As: fetch.AsImage})
			return got.Manifest, err
		},
		judge: judgeImage,
	}}
}

// judgeDirectory looks at a directory without any code of Fetch's: it holds
// the index's entries, with the modes and the kinds that a release has.
func judgeDirectory(t *testing.T, dest string, m artifact.Manifest, x *artifact.Index) {
	t.Helper()
	want := map[string]artifact.Member{".": {Kind: artifact.KindDir}, ".wpbake/manifest.json": {Kind: artifact.KindFile, Size: int64(len(m.Marshal()))}}
	for _, e := range x.Members {
		want[e.Path] = e
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
		switch e.Kind {
		case artifact.KindDir:
			ok = info.Mode() == fs.ModeDir|0o755
		case artifact.KindFile:
			ok = info.Mode() == 0o644 && info.Size() == e.Size
		case artifact.KindLink:
			target, _ := os.Readlink(p)
			end, err := filepath.EvalSymlinks(p)
			ok = info.Mode().Type() == fs.ModeSymlink && target == e.Target && err == nil && strings.HasPrefix(end, dest+"/wordpress/")
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
	if err := fetch.Check(dest, m); err != nil {
		t.Error(err)
	}
}

// judgeImage reads an image with another's code.
func judgeImage(t *testing.T, dest string, m artifact.Manifest, x *artifact.Index) {
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
	for _, e := range x.Members {
		info, err := fs.Lstat(fsys, e.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		kinds := map[artifact.Kind]fs.FileMode{artifact.KindDir: fs.ModeDir, artifact.KindLink: fs.ModeSymlink}
		if info.Mode().Type() != kinds[e.Kind] || e.Kind == artifact.KindFile && info.Size() != e.Size {
			t.Errorf("%q is %v of %d bytes", e.Path, info.Mode(), info.Size())
		}
	}
	if err := fetch.CheckImage(t.Context(), dest, m); err != nil {
		t.Error(err)
	}
}

// arena is where a fuzz target unpacks: a directory in memory with something
// beside it that must not change.
type arena struct{ top string }

func newArena(f *testing.F) arena {
	f.Helper()
	a := arena{artifacttest.InMemory(f)}
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
		r, ok := artifacttest.ParseRecipe(text)
		if !ok || len(content)+len(with) > artifacttest.MaxCooked {
			t.Skip("too large")
		}
		c, ok := r.Cook(content, max(int(cut), artifact.TarBlock))
		if !ok {
			t.Skip("no tar can hold it")
		}
		s := c.Sign(artifacttest.Spoilt(where)%artifacttest.Spoilable, with, int(at))
		var verified error
		artifacttest.Bounded(t, func() { _, verified = fetch.Verify(t.Context(), s, "v1", "") })
		artifacttest.Refusal(t, verified)
		for _, how := range extractors() {
			artifacttest.Bounded(t, func() {
				got, err := how.extract(t, s, a.dest())
				artifacttest.Refusal(t, err)
				// What guards transport alone does not keep a node from unpacking.
				transport := got.Artifact.Digest != artifact.DigestOf(s[artifacttest.TarballObject]) || got.SBOM != nil
				if err != nil && verified == nil || err == nil && verified != nil && !transport {
					t.Errorf("%s: Verify says %v, but here: %v", how.name, verified, err)
				}
				if err == nil {
					artifacttest.OneForm(t, s, got)
					how.judge(t, a.dest(), got, opened(t, s, got))
				}
				a.clean(t, err == nil)
			})
		}
	})
}

// opened opens the index of a release that was accepted; it and the seek table
// are the bytes that are there.
func opened(t *testing.T, s artifacttest.Memory, m artifact.Manifest) *artifact.Index {
	t.Helper()
	x, err := indexOf(s, m)
	if err != nil {
		t.Fatal(err)
	}
	artifacttest.Consistent(t, x, m)
	seek := s[artifacttest.TarballObject][m.Index.Offset+m.Index.Size:]
	if !bytes.Equal(seek, artifact.SeekTable(x.Frames, m.Index.Size)) {
		t.Error("the seek table is not the index's")
	}
	return x
}

// indexOf reads the index of a release from its artifact's end.
func indexOf(s artifacttest.Memory, m artifact.Manifest) (*artifact.Index, error) {
	blob := s[artifacttest.TarballObject]
	if int64(len(blob)) < m.Index.Offset {
		return nil, &artifact.Damaged{Name: artifacttest.TarballObject, Reason: "it ends before its index"}
	}
	return artifact.ReadTail(m, artifacttest.TarballObject, blob[m.Index.Offset:])
}

// FuzzOpenArtifact opens any bytes as an artifact, whose index is said to lie
// at any place of them, with the digests that they have.
func FuzzOpenArtifact(f *testing.F) {
	for _, where := range []artifacttest.Spoilt{artifacttest.SpoiltNothing, artifacttest.SpoiltIndexText, artifacttest.SpoiltSeekTable, artifacttest.SpoiltStored} {
		r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
		c, _ := r.Cook([]byte("content"), 2048)
		s := c.Sign(where, []byte("\n"), 40)
		f.Add(s[artifacttest.TarballObject], uint32(c.M.Index.Offset), uint32(c.M.Index.Size), uint32(c.M.Tree.Files))
	}
	real := forge(f)
	s := real.seal(real.recompress())
	f.Add(s[artifacttest.TarballObject], uint32(real.m.Index.Offset), uint32(real.m.Index.Size), uint32(real.m.Tree.Files))
	r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
	c, _ := r.Cook([]byte("content"), 2048)
	f.Fuzz(func(t *testing.T, blob []byte, offset, size, files uint32) {
		off, end := int64(offset), int64(offset)+int64(size)
		if end > int64(len(blob)) {
			t.Skip("an index outside the artifact: FuzzManifest's matter")
		}
		m := artifact.Manifest{Format: artifact.Format, Version: "v1", Tree: c.M.Tree, Image: c.M.Image}
		m.Tree.Files = int(files)
		m.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
		m.Index = artifact.Part{Digest: artifact.DigestOf(blob[off:end]), Offset: off, Size: int64(size)}
		s := artifacttest.Memory{artifacttest.TarballObject: blob, artifacttest.ManifestObject: m.Marshal()}
		artifacttest.Bounded(t, func() {
			found, digest, err := artifact.Find(t.Context(), s, "v1")
			artifacttest.Refusal(t, err)
			if err != nil {
				return
			}
			if digest != artifact.DigestOf(s[artifacttest.ManifestObject]) {
				t.Errorf("the manifest's digest is %s", digest)
			}
			artifacttest.OneForm(t, s, found)
			if _, err := indexOf(s, found); err != nil {
				artifacttest.Refusal(t, err)
			} else {
				opened(t, s, found)
			}
			verified, err := fetch.Verify(t.Context(), s, "v1", digest)
			artifacttest.Refusal(t, err)
			if err == nil {
				artifacttest.OneForm(t, s, verified)
			}
		})
	})
}

// seed is an input of FuzzExtract.
type seed struct {
	recipe  string
	content []byte
	cut     uint16
	where   artifacttest.Spoilt
	patch   []byte
	at      uint32
}

func extractSeeds() []seed {
	all := []seed{{recipe: artifacttest.HonestRecipe, content: []byte("content"), cut: 60000}}
	for _, r := range []string{
		"", "d wordpress", "f 3 ../x", "f 3 /etc/passwd", "f 3 a/b", "d a\nf 3 a", "f 3 a\nf 3 a", "f 3 B\nf 3 a", "f 3 A\nf 3 a",
		"l a -> ../../x\n", "l a -> /etc/passwd", "l a -> b\nl b -> a", "l a -> a", "d d\nl d/l -> ..", "l a -> ../.wpbake/SHA256SUMS",
		"f 3 café", "f 3 cafe\u0301\nf 3 caf\u00e9", "f 3 a\tb", "f 3 .wh.a", "d " + strings.Repeat("long/", 30) + "x",
		"d a\nl a/l -> ../b\nd b\nf 9 b/c", "f 200000 large", "f 3 " + strings.Repeat("n", 256), "d a\nd a/b\nd a/b/c\nf 3 a/b/c/d",
	} {
		all = append(all, seed{recipe: r, content: []byte("x"), cut: 60000}, seed{recipe: r, content: []byte("x"), cut: 512})
	}
	for where := artifacttest.SpoiltPlain; where < artifacttest.Spoilable; where++ {
		for _, at := range []uint32{0, 5, 156, 700, 1 << 20} {
			all = append(all, seed{artifacttest.HonestRecipe, []byte("x"), 60000, where, []byte{'2', 0, 0xff}, at})
		}
	}
	for _, name := range []string{"frames 999999999", "entries 5", fmt.Sprint("\t", int64(1)<<62)} {
		all = append(all, seed{artifacttest.HonestRecipe, nil, 60000, artifacttest.SpoiltIndexText, []byte(name), 40})
	}
	return all
}

// The fuzz targets start from releases that are accepted, or they would only
// ever see refusals.
func TestRecipeIsFaithful(t *testing.T) {
	for _, cut := range []int{512, 2048, 60000} {
		r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
		if r.String() != artifacttest.HonestRecipe {
			t.Errorf("the recipe is read as\n%s", r)
		}
		c, ok := r.Cook([]byte("content"), cut)
		if !ok {
			t.Fatal("no tar")
		}
		s := c.Sign(artifacttest.SpoiltNothing, nil, 0)
		m, err := fetch.Verify(t.Context(), s, "v1", "")
		if err != nil {
			t.Fatal(err)
		}
		dest := filepath.Join(t.TempDir(), "d")
		if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest}); err != nil {
			t.Fatal(err)
		}
		judgeDirectory(t, dest, m, opened(t, s, m))
	}
}
