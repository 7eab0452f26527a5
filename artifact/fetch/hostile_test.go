package fetch_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// forgery is an artifact taken apart. seal puts it together again with all
// digests right: the signer was wrong.
type forgery struct {
	t      testing.TB
	m      artifact.Manifest
	index  *artifact.Index
	plains [][]byte // of frames
}

func forge(t testing.TB) *forgery {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"a/one.php": "one", "a/two.php": strings.Repeat("two", 500), "b/three.css": "three"} {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a/one.php", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	built, err := build.Build(t.Context(), build.Options{Tree: dir, Out: t.TempDir(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := os.ReadFile(filepath.Join(built.Dir, artifact.TarballName))
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{t: t, m: built.Manifest}
	if f.index, err = artifact.ReadTail(f.m, "", blob[f.m.Index.Offset:]); err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	for _, frame := range f.index.Frames {
		plain, err := dec.DecodeAll(blob[:frame.Stored], nil)
		if err != nil {
			t.Fatal(err)
		}
		f.plains, blob = append(f.plains, plain), blob[frame.Stored:]
	}
	return f
}

// recompress makes frames of the plains, and tells the index.
func (f *forgery) recompress() (blob []byte) {
	f.t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer enc.Close()
	for i, plain := range f.plains {
		b := enc.EncodeAll(plain, nil)
		f.index.Frames[i] = artifact.Frame{Stored: int64(len(b)), Plain: int64(len(plain)), StoredSum: sha256.Sum256(b), ContentSum: f.index.Frames[i].ContentSum}
		blob = append(blob, b...)
	}
	return blob
}

// seal puts an index after the frames and names both in a manifest.
func (f *forgery) seal(blob []byte) artifacttest.Memory {
	f.t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer enc.Close()
	x := artifact.PackIndex(enc, f.index)
	f.m.Index = artifact.Part{Digest: artifact.DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, artifact.SeekTable(f.index.Frames, int64(len(x))))
	f.m.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
	return artifacttest.Memory{artifacttest.TarballObject: blob, artifacttest.ManifestObject: f.m.Marshal()}
}

// refuse demands that neither Fetch nor Verify takes a release, and that
// nothing is left of the attempt.
func refuse(t *testing.T, s artifacttest.Memory, why string) {
	t.Helper()
	parent := t.TempDir()
	_, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: filepath.Join(parent, "d")})
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("fetched: %v, want %q", err, why)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if _, err := fetch.Verify(t.Context(), s, "v1", ""); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("verified: %v, want %q", err, why)
	}
}

func TestForgeryIsFaithful(t *testing.T) {
	f := forge(t)
	s := f.seal(f.recompress())
	if _, err := fetch.Verify(t.Context(), s, "v1", ""); err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "d")
	if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest}); err != nil {
		t.Fatal(err)
	}
}

func TestLyingIndex(t *testing.T) {
	at := func(x *artifact.Index, path string) *artifact.Member {
		return &x.Members[slices.IndexFunc(x.Members, func(e artifact.Member) bool { return e.Path == "wordpress/"+path })]
	}
	insert := func(x *artifact.Index, i int, e artifact.Member) {
		x.Members = slices.Insert(x.Members, i, e)
		x.Starts = slices.Insert(x.Starts, i, x.Starts[i])
	}
	for _, tt := range []struct {
		name string
		lie  func(x *artifact.Index)
		why  string
	}{
		{"name above", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/../b" }, "is no name"},
		{"absolute name", func(x *artifact.Index) { at(x, "b/three.css").Path = "/etc/passwd" }, `entry "/etc/passwd"`},
		{"name beside the prefix", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress2/x" }, `entry "wordpress2/x"`},
		{"empty part", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/b//x" }, "is no name"},
		{"control character", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/b/\x01" }, "control character"},
		{"duplicate", func(x *artifact.Index) { insert(x, 3, x.Members[2]) }, "out of order"},
		{"unsorted", func(x *artifact.Index) { x.Members[2], x.Members[3] = x.Members[3], x.Members[2] }, "out of order"},
		{"no directory", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/c/x" }, "has no directory"},
		{"file for a directory", func(x *artifact.Index) { *at(x, "b") = artifact.Member{Path: "wordpress/b", Kind: artifact.KindFile} }, "has no directory"},
		{"collision", func(x *artifact.Index) { at(x, "a/one.php").Path = "wordpress/a/TWO.php" }, "collides"},
		{"escaping link", func(x *artifact.Index) { at(x, "link").Target = "../../x" }, artifact.RuleLinkEscape},
		{"link to our metadata", func(x *artifact.Index) { at(x, "link").Target = "../.wpbake/SHA256SUMS" }, artifact.RuleLinkEscape},
		{"absolute link", func(x *artifact.Index) { at(x, "link").Target = "/etc" }, artifact.RuleLinkAbsolute},
		{"another link", func(x *artifact.Index) { at(x, "link").Target = "a/two.php" }, `header of "wordpress/link"`},
		{"another kind", func(x *artifact.Index) {
			*at(x, "link") = artifact.Member{Path: "wordpress/link", Kind: artifact.KindDir}
		}, `header of "wordpress/link"`},
		{"another name", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/b/four.css" }, "file list"},
		{"shorter file", func(x *artifact.Index) { at(x, "a/two.php").Size = 1400 }, "where nothing may be"},
		{"longer file", func(x *artifact.Index) { at(x, "a/two.php").Size = 4096 }, "does not hold what it should"},
		{"huge file", func(x *artifact.Index) { at(x, "a/two.php").Size = 1 << 62 }, "too large"},
		{"no file list", func(x *artifact.Index) {
			x.Members = x.Members[:len(x.Members)-1]
			x.Starts = x.Starts[:len(x.Starts)-1]
		}, "file list"},
		{"no entries", func(x *artifact.Index) { x.Members, x.Starts = nil, nil }, "0 entries"},
		{"longer frame", func(x *artifact.Index) { x.Frames[0].Plain++ }, "does not hold what it should"},
		{"shorter stored frame", func(x *artifact.Index) { x.Frames[0].Stored-- }, "contradict"},
		{"other content of a frame", func(x *artifact.Index) { x.Frames[0].ContentSum[7] ^= 1 }, "frame 0 holds other content"},
		{"other content of the end", func(x *artifact.Index) { x.Frames[len(x.Frames)-1].ContentSum[7] ^= 1 }, "holds other content"},
		{"huge frame", func(x *artifact.Index) { x.Frames[0].Plain = 1 << 40 }, "frame 0"},
		{"start in another frame", func(x *artifact.Index) { x.Starts[1]++ }, "does not hold what it should"},
		{"start after the end", func(x *artifact.Index) { x.Starts[0] = 99 }, "does not hold what it should"},
		{"no end of tar", func(x *artifact.Index) { x.Frames = x.Frames[:len(x.Frames)-1] }, "end of a tar"},
		{"tab in a name", func(x *artifact.Index) { at(x, "b/three.css").Path = "wordpress/b/x\ty" }, "control character"},
		{"newline in the encoder", func(x *artifact.Index) { x.Encoder = "a\nb" }, "one form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forge(t)
			blob := f.recompress()
			tt.lie(f.index)
			refuse(t, f.seal(blob), tt.why)
		})
	}
}

// TestForeignTar holds artifacts whose frames are another tar than the index
// says, with all digests right.
func TestForeignTar(t *testing.T) {
	const link, dir, file = "wordpress/link", "wordpress/a/", "wordpress/a/one.php"
	for _, tt := range []struct {
		name   string
		member string
		change func(h []byte)
	}{
		{"hard link", link, func(h []byte) { h[156] = tar.TypeLink }},
		{"device", link, func(h []byte) { h[156] = tar.TypeBlock }},
		{"pipe", link, func(h []byte) { h[156] = tar.TypeFifo }},
		{"contiguous file", file, func(h []byte) { h[156] = tar.TypeCont }},
		{"sparse file", file, func(h []byte) { h[156] = tar.TypeGNUSparse }},
		{"PAX header", file, func(h []byte) { h[156] = tar.TypeXHeader }},
		{"global PAX header", file, func(h []byte) { h[156] = tar.TypeXGlobalHeader }},
		{"setuid", file, func(h []byte) { copy(h[100:], "0004755") }},
		{"writable for all", dir, func(h []byte) { copy(h[100:], "0000777") }},
		{"owner", file, func(h []byte) { copy(h[108:], "0001750") }},
		{"owner's name", file, func(h []byte) { copy(h[265:], "www-data") }},
		{"size", file, func(h []byte) { copy(h[124:], "00000000777") }},
		{"time", file, func(h []byte) { copy(h[136:], "11111111111") }},
		{"name", file, func(h []byte) { copy(h, "../../../etc") }},
		{"target", link, func(h []byte) { copy(h[157:], "/etc/passwd") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forge(t)
			i := bytes.Index(f.plains[0], append([]byte(tt.member), 0))
			if i < 0 || i%artifact.TarBlock != 0 {
				t.Fatalf("%q stands at %d", tt.member, i)
			}
			h := f.plains[0][i : i+artifact.TarBlock]
			tt.change(h)
			checksum(h)
			refuse(t, f.seal(f.recompress()), "the header of")
		})
	}
}

// checksum makes a tar header valid again.
func checksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	for i := 153; i >= 148; i-- {
		h[i] = byte('0' + sum&7)
		sum >>= 3
	}
	h[154] = 0
}

func TestForeignBytes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *forgery) (blob []byte)
		why    string
	}{
		{"bytes in the padding", func(f *forgery) []byte {
			i := bytes.Index(f.plains[0], []byte("three\x00"))
			f.plains[0][i+5] = 'x'
			return f.recompress()
		}, "where nothing may be"},
		{"no zeros at the end", func(f *forgery) []byte {
			f.plains[len(f.plains)-1][7] = 'x'
			return f.recompress()
		}, "where nothing may be"},
		{"other list of files", func(f *forgery) []byte {
			last := f.plains[len(f.plains)-2]
			i := bytes.Index(last, []byte("  wordpress/a"))
			last[i+12] = 'b'
			return f.recompress()
		}, "the header of"},
		{"other content", func(f *forgery) []byte {
			copy(f.plains[0][bytes.Index(f.plains[0], []byte("three\x00")):], "THREE")
			return f.recompress()
		}, "the header of"},
		{"frame of another release", func(f *forgery) []byte {
			f.plains[0], f.plains[1] = f.plains[1], f.plains[0]
			return f.recompress()
		}, "does not hold what it should"},
		{"bomb", func(f *forgery) []byte {
			honest := f.plains[0]
			f.plains[0] = make([]byte, 64<<20)
			blob := f.recompress()
			f.index.Frames[0].Plain = int64(len(honest))
			return blob
		}, "cannot be decoded"},
		{"not zstd", func(f *forgery) []byte {
			blob := f.recompress()
			blob[0] ^= 1
			f.index.Frames[0].StoredSum = sha256.Sum256(blob[:f.index.Frames[0].Stored])
			return blob
		}, "cannot be decoded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forge(t)
			refuse(t, f.seal(tt.change(f)), tt.why)
		})
	}
}

// A manifest that contradicts the artifact it names.
func TestLyingManifest(t *testing.T) {
	for name, lie := range map[string]func(m *artifact.Manifest){
		"tree":    func(m *artifact.Manifest) { m.Tree.Digest = artifact.DigestOf(nil) },
		"list":    func(m *artifact.Manifest) { m.Tree.List = artifact.DigestOf(nil) },
		"files":   func(m *artifact.Manifest) { m.Tree.Files++ },
		"bytes":   func(m *artifact.Manifest) { m.Tree.Bytes++ },
		"prefix":  func(m *artifact.Manifest) { m.Tree.Prefix = "wordpres" },
		"size":    func(m *artifact.Manifest) { m.Artifact.Size++ },
		"index":   func(m *artifact.Manifest) { m.Index.Digest = artifact.DigestOf(nil) },
		"version": func(m *artifact.Manifest) { m.Version = "v2" },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			s := f.seal(f.recompress())
			lie(&f.m)
			s[artifacttest.ManifestObject] = f.m.Marshal()
			refuse(t, s, "verifying")
		})
	}
}
