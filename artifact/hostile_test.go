package artifact

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
)

// forgery is an artifact taken apart. seal puts it together again with all
// digests right: the signer was wrong.
type forgery struct {
	t      testing.TB
	m      Manifest
	index  *index
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
	built, err := Build(t.Context(), BuildOptions{Tree: dir, Out: t.TempDir(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := os.ReadFile(filepath.Join(built.Dir, artifactName))
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{t: t, m: built.Manifest}
	if f.index, err = readTail(f.m, "", blob[f.m.Index.Offset:]); err != nil {
		t.Fatal(err)
	}
	r, err := newUnpacker("", f.index).reader(discard{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.from, r.end = sequential(bytes.NewReader(blob)), len(f.index.frames)
	for range f.index.frames {
		if err := r.load(); err != nil {
			t.Fatal(err)
		}
		f.plains = append(f.plains, bytes.Clone(r.plain))
	}
	return f
}

// recompress makes frames of the plains, and tells the index.
func (f *forgery) recompress() (blob []byte) {
	f.t.Helper()
	enc, err := newEncoder(1)
	if err != nil {
		f.t.Fatal(err)
	}
	defer enc.Close()
	for i, plain := range f.plains {
		b := enc.EncodeAll(plain, nil)
		f.index.frames[i] = frame{int64(len(b)), int64(len(plain)), sha256.Sum256(b), f.index.frames[i].contentSum}
		blob = append(blob, b...)
	}
	return blob
}

// seal puts an index after the frames and names both in a manifest.
func (f *forgery) seal(blob []byte) memoryStore {
	f.t.Helper()
	enc, err := newEncoder(1)
	if err != nil {
		f.t.Fatal(err)
	}
	defer enc.Close()
	x := packIndex(enc, f.index)
	f.m.Index = Section{Digest: DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, seekTable(f.index.frames, int64(len(x))))
	f.m.Artifact = Blob{Digest: DigestOf(blob), Size: int64(len(blob))}
	return memoryStore{blobName: blob, docName: f.m.Marshal()}
}

// refuse demands that neither Fetch nor Verify takes a release, and that
// nothing is left of the attempt.
func refuse(t *testing.T, s memoryStore, why string) {
	t.Helper()
	parent := t.TempDir()
	_, err := Fetch(t.Context(), s, FetchOptions{Version: "v1", Dest: filepath.Join(parent, "d")})
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("fetched: %v, want %q", err, why)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if _, err := Verify(t.Context(), s, "v1", ""); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("verified: %v, want %q", err, why)
	}
}

func TestForgeryIsFaithful(t *testing.T) {
	f := forge(t)
	s := f.seal(f.recompress())
	if _, err := Verify(t.Context(), s, "v1", ""); err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "d")
	if _, err := Fetch(t.Context(), s, FetchOptions{Version: "v1", Dest: dest}); err != nil {
		t.Fatal(err)
	}
}

func TestLyingIndex(t *testing.T) {
	at := func(x *index, path string) *entry {
		return &x.entries[slices.IndexFunc(x.entries, func(e entry) bool { return e.path == "wordpress/"+path })]
	}
	insert := func(x *index, i int, e entry) {
		x.entries = slices.Insert(x.entries, i, e)
		x.starts = slices.Insert(x.starts, i, x.starts[i])
	}
	for _, tt := range []struct {
		name string
		lie  func(x *index)
		why  string
	}{
		{"name above", func(x *index) { at(x, "b/three.css").path = "wordpress/../b" }, "is no name"},
		{"absolute name", func(x *index) { at(x, "b/three.css").path = "/etc/passwd" }, `entry "/etc/passwd"`},
		{"name beside the prefix", func(x *index) { at(x, "b/three.css").path = "wordpress2/x" }, `entry "wordpress2/x"`},
		{"empty part", func(x *index) { at(x, "b/three.css").path = "wordpress/b//x" }, "is no name"},
		{"control character", func(x *index) { at(x, "b/three.css").path = "wordpress/b/\x01" }, "control character"},
		{"duplicate", func(x *index) { insert(x, 3, x.entries[2]) }, "out of order"},
		{"unsorted", func(x *index) { x.entries[2], x.entries[3] = x.entries[3], x.entries[2] }, "out of order"},
		{"no directory", func(x *index) { at(x, "b/three.css").path = "wordpress/c/x" }, "has no directory"},
		{"file for a directory", func(x *index) { *at(x, "b") = entry{path: "wordpress/b", kind: kindFile} }, "has no directory"},
		{"collision", func(x *index) { at(x, "a/one.php").path = "wordpress/a/TWO.php" }, "collides"},
		{"escaping link", func(x *index) { at(x, "link").target = "../../x" }, RuleLinkEscape},
		{"link to our metadata", func(x *index) { at(x, "link").target = "../.wpbake/SHA256SUMS" }, RuleLinkEscape},
		{"absolute link", func(x *index) { at(x, "link").target = "/etc" }, RuleLinkAbsolute},
		{"another link", func(x *index) { at(x, "link").target = "a/two.php" }, `header of "wordpress/link"`},
		{"another kind", func(x *index) { *at(x, "link") = entry{path: "wordpress/link", kind: kindDir} }, `header of "wordpress/link"`},
		{"another name", func(x *index) { at(x, "b/three.css").path = "wordpress/b/four.css" }, "file list"},
		{"shorter file", func(x *index) { at(x, "a/two.php").size = 1400 }, "where nothing may be"},
		{"longer file", func(x *index) { at(x, "a/two.php").size = 4096 }, "does not hold what it should"},
		{"huge file", func(x *index) { at(x, "a/two.php").size = 1 << 62 }, "too large"},
		{"no file list", func(x *index) { x.entries = x.entries[:len(x.entries)-1]; x.starts = x.starts[:len(x.starts)-1] }, "file list"},
		{"no entries", func(x *index) { x.entries, x.starts = nil, nil }, "0 entries"},
		{"longer frame", func(x *index) { x.frames[0].plain++ }, "does not hold what it should"},
		{"shorter stored frame", func(x *index) { x.frames[0].stored-- }, "contradict"},
		{"other content of a frame", func(x *index) { x.frames[0].contentSum[7] ^= 1 }, "frame 0 holds other content"},
		{"other content of the end", func(x *index) { x.frames[len(x.frames)-1].contentSum[7] ^= 1 }, "holds other content"},
		{"huge frame", func(x *index) { x.frames[0].plain = 1 << 40 }, "frame 0"},
		{"start in another frame", func(x *index) { x.starts[1]++ }, "does not hold what it should"},
		{"start after the end", func(x *index) { x.starts[0] = 99 }, "does not hold what it should"},
		{"no end of tar", func(x *index) { x.frames = x.frames[:len(x.frames)-1] }, "end of a tar"},
		{"tab in a name", func(x *index) { at(x, "b/three.css").path = "wordpress/b/x\ty" }, "control character"},
		{"newline in the encoder", func(x *index) { x.encoder = "a\nb" }, "one form"},
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
			if i < 0 || i%block != 0 {
				t.Fatalf("%q stands at %d", tt.member, i)
			}
			h := f.plains[0][i : i+block]
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
			f.index.frames[0].plain = int64(len(honest))
			return blob
		}, "cannot be decoded"},
		{"not zstd", func(f *forgery) []byte {
			blob := f.recompress()
			blob[0] ^= 1
			f.index.frames[0].storedSum = sha256.Sum256(blob[:f.index.frames[0].stored])
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
	for name, lie := range map[string]func(m *Manifest){
		"tree":    func(m *Manifest) { m.Tree.Digest = DigestOf(nil) },
		"list":    func(m *Manifest) { m.Tree.List = DigestOf(nil) },
		"files":   func(m *Manifest) { m.Tree.Files++ },
		"bytes":   func(m *Manifest) { m.Tree.Bytes++ },
		"prefix":  func(m *Manifest) { m.Tree.Prefix = "wordpres" },
		"size":    func(m *Manifest) { m.Artifact.Size++ },
		"index":   func(m *Manifest) { m.Index.Digest = DigestOf(nil) },
		"version": func(m *Manifest) { m.Version = "v2" },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			s := f.seal(f.recompress())
			lie(&f.m)
			s[docName] = f.m.Marshal()
			refuse(t, s, "verifying")
		})
	}
}
