package erofs_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	reader "github.com/erofs/go-erofs"
	"pgregory.net/rapid"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// tree is what an image is to hold, by path. A content that begins with "-> "
// is a link's target; a path that ends with a slash is a directory.
type tree map[string]string

// entries lists a tree as New wants it.
func (t tree) entries() []erofs.Entry {
	all := map[string]erofs.Entry{}
	for name, content := range t {
		target, link := strings.CutPrefix(content, "-> ")
		e := erofs.Entry{Path: strings.TrimSuffix(name, "/"), Time: 1262304000 + int64(len(content))}
		switch {
		case strings.HasSuffix(name, "/"):
			e.Kind = erofs.Directory
		case link:
			e.Kind, e.Target = erofs.Link, target
		default:
			e.Size = int64(len(content))
		}
		all[e.Path] = e
		for up := path.Dir(e.Path); up != "."; up = path.Dir(up) {
			all[up] = erofs.Entry{Path: up, Kind: erofs.Directory, Time: 1262304000}
		}
	}
	// As a walk meets them: a slash sorts before all that a name can hold.
	order := func(p string) string { return strings.ReplaceAll(p, "/", "\x01") }
	sorted := slices.SortedFunc(maps.Values(all), func(a, b erofs.Entry) int { return cmp.Compare(order(a.Path), order(b.Path)) })
	if len(sorted) > 0 && sorted[0].Kind == erofs.File { // one out of its order
		sorted = append(sorted[1:], sorted[0])
	}
	return sorted
}

func label() erofs.Label {
	return erofs.Label{UUID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, Name: "test", Time: 1262304000}
}

func layout(tb rapid.TB, entries []erofs.Entry, kept func(int) (erofs.Extent, bool)) *erofs.Layout {
	tb.Helper()
	l, err := erofs.NewAfter(len(entries), func(i int) erofs.Entry { return entries[i] }, kept)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func image(tb rapid.TB, t tree) []byte {
	tb.Helper()
	return fill(tb, t, layout(tb, t.entries(), nil))
}

// fill writes contents first and in any order, the metadata last.
func fill(tb rapid.TB, t tree, l *erofs.Layout) []byte {
	tb.Helper()
	entries := t.entries()
	b := make([]byte, l.Size())
	for _, i := range rand.Perm(len(entries)) {
		if e := entries[i]; e.Kind == erofs.File {
			copy(b[l.Offset(i):], t[e.Path])
		}
	}
	var meta bytes.Buffer
	if err := l.WriteMetadata(&meta, label()); err != nil {
		tb.Fatal(err)
	}
	if int64(meta.Len()) != l.Metadata() {
		tb.Fatalf("metadata of %d bytes, announced were %d", meta.Len(), l.Metadata())
	}
	copy(b, meta.Bytes())
	return b
}

func sample() tree {
	t := tree{
		"empty": "", "block": strings.Repeat("b", 4096), "more": strings.Repeat("m", 4097), "-first": "x", "z": "-> wp/f1.php",
		"wp/none/": "", "wp-a/x": "sorts after wp/", "wp/up": "-> ../z", "wp/" + strings.Repeat("n", 255): "long",
	}
	for i := range 1000 { // a directory of several blocks
		t[fmt.Sprintf("wp/f%d.php", i)] = strings.Repeat("php", i)
	}
	for i := range 100 { // more inodes than the first block holds
		t[fmt.Sprintf("d%d/d/f", i)] = "f"
	}
	return t
}

// compare holds a file system against a tree.
func compare(tb rapid.TB, fsys fs.FS, t tree) {
	tb.Helper()
	want := map[string]erofs.Entry{}
	for _, e := range t.entries() {
		want[e.Path] = e
	}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		e, ok := want[p]
		if !ok {
			return fmt.Errorf("%q is extra", p)
		}
		delete(want, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := map[erofs.Kind]fs.FileMode{erofs.File: 0o644, erofs.Directory: fs.ModeDir | 0o755, erofs.Link: fs.ModeSymlink | 0o777}[e.Kind]
		if m := info.Mode(); m.Type() != mode.Type() || m.Perm() != mode.Perm() || info.ModTime().Unix() != e.Time {
			return fmt.Errorf("%q is %v of %v, want %v of %v", p, info.Mode(), info.ModTime(), mode, time.Unix(e.Time, 0))
		}
		return compareContent(fsys, p, e, t)
	})
	if err != nil {
		tb.Fatal(err)
	}
	for p := range want {
		tb.Errorf("%q is missing", p)
	}
}

func compareContent(fsys fs.FS, p string, e erofs.Entry, t tree) error {
	switch e.Kind {
	case erofs.Link:
		if got, err := fs.ReadLink(fsys, p); err != nil || got != e.Target {
			return fmt.Errorf("%q leads to %q, %v", p, got, err)
		}
	case erofs.File:
		if got, err := fs.ReadFile(fsys, p); err != nil || string(got) != t[p] {
			return fmt.Errorf("%q holds %d bytes, %v", p, len(got), err)
		}
	}
	return nil
}

// Another implementation reads the same tree.
func TestOtherReader(t *testing.T) {
	for name, tree := range map[string]tree{"nothing": {}, "one file": {"a": "b"}, "sample": sample()} {
		t.Run(name, func(t *testing.T) {
			fsys, err := reader.Open(bytes.NewReader(image(t, tree)))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, fsys, tree)
		})
	}
}

func TestAnyTree(t *testing.T) {
	name := rapid.StringMatching(`[-.a-c/é]{1,12}`)
	rapid.Check(t, func(rt *rapid.T) {
		tree := tree{}
		for _, p := range rapid.SliceOfN(name, 0, 40).Draw(rt, "paths") {
			if path.Clean("/" + p)[1:] != p || p == "" || tree.taken(p) {
				continue
			}
			tree[p] = rapid.SampledFrom([]string{"", "x", "-> a", strings.Repeat("y", 4096), strings.Repeat("z", 9000)}).Draw(rt, "content")
		}
		b := image(t, tree)
		fsys, err := reader.Open(bytes.NewReader(b))
		if err != nil {
			rt.Fatal(err)
		}
		compare(rt, fsys, tree)
		if _, _, err := erofs.ReadLayout(bytes.NewReader(b), int64(len(b))); err != nil {
			rt.Fatal(err)
		}
	})
}

// An image that follows another leaves files where they stood, and is as whole
// as one that does not.
func TestAfter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		content := rapid.SampledFrom([]string{"", "x", "-> a", strings.Repeat("y", 4096), strings.Repeat("z", 9000), strings.Repeat("w", 30000)})
		draw := func(name string) tree {
			tr := tree{}
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 30), 0, 25).Draw(rt, name) {
				tr[fmt.Sprintf("d%d/f%d", n%3, n)] = content.Draw(rt, "content")
			}
			return tr
		}
		before, after := draw("before"), draw("after")
		old := layout(rt, before.entries(), nil)
		places := map[string]erofs.Extent{}
		for i, e := range before.entries() {
			if e.Size > 0 {
				places[e.Path] = erofs.Extent{Offset: old.Offset(i), Size: e.Size}
			}
		}
		entries := after.entries()
		l := layout(rt, entries, func(i int) (erofs.Extent, bool) { e, ok := places[entries[i].Path]; return e, ok })
		b := fill(rt, after, l)
		fsys, err := reader.Open(bytes.NewReader(b))
		if err != nil {
			rt.Fatal(err)
		}
		compare(rt, fsys, after)
		if _, _, err := erofs.ReadLayout(bytes.NewReader(b), int64(len(b))); err != nil {
			rt.Fatal(err)
		}
		for i, e := range entries {
			place, ok := places[e.Path]
			if ok && e.Size > 0 && e.Size <= place.Size && place.Offset >= l.Metadata() && l.Offset(i) != place.Offset {
				rt.Errorf("%s moved from %d to %d", e.Path, place.Offset, l.Offset(i))
			}
		}
	})
}

// What is said about the image before need not be true.
func TestAfterNonsense(t *testing.T) {
	tr := tree{"a": strings.Repeat("a", 9000), "b": strings.Repeat("b", 9000), "c": strings.Repeat("c", 9000), "d": strings.Repeat("d", 9000)}
	nonsense := []erofs.Extent{{0, 9000}, {1 << 20, 9000}, {1<<20 + 4096, 9000}, {1<<20 + 77, 9000}}
	b := fill(t, tr, layout(t, tr.entries(), func(i int) (erofs.Extent, bool) { return nonsense[i], true }))
	fsys, err := reader.Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, fsys, tr)
	if _, files, err := erofs.ReadLayout(bytes.NewReader(b), int64(len(b))); err != nil || len(files) != 4 || files[1].Offset != 1<<20 {
		t.Errorf("files at %v, %v", files, err)
	}
}

// taken tells whether p is, or lies below, or holds what the tree has.
func (t tree) taken(p string) bool {
	for other := range t {
		if p == other || strings.HasPrefix(p, other+"/") || strings.HasPrefix(other, p+"/") {
			return true
		}
	}
	return false
}

func TestReadLayout(t *testing.T) {
	tree := sample()
	b := image(t, tree)
	meta, files, err := erofs.ReadLayout(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	entries := tree.entries()
	l, err := erofs.New(len(entries), func(i int) erofs.Entry { return entries[i] })
	if err != nil {
		t.Fatal(err)
	}
	var want []erofs.Extent
	for i, e := range entries {
		if e.Size > 0 {
			want = append(want, erofs.Extent{Offset: l.Offset(i), Size: e.Size})
		}
	}
	if meta != l.Metadata() || !slices.Equal(files, want) {
		t.Errorf("metadata of %d bytes and %d files, want %d and %d", meta, len(files), l.Metadata(), len(want))
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"nothing":        func(b []byte) []byte { return nil },
		"cut":            func(b []byte) []byte { return b[:len(b)-4096] },
		"longer":         func(b []byte) []byte { return append(b, make([]byte, 4096)...) },
		"another format": func(b []byte) []byte { b[1024] ^= 1; return b },
		"many inodes":    func(b []byte) []byte { b[1024+22] = 1; return b },
		"a file moved":   func(b []byte) []byte { return moved(b, 1) },
		"a file grew":    func(b []byte) []byte { return resized(b, 1<<40) },
		"negative":       func(b []byte) []byte { return resized(b, -1) },
	} {
		b := spoil(slices.Clone(b))
		if _, _, err := erofs.ReadLayout(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// firstFile returns the inode of a file that is not empty.
func firstFile(b []byte) []byte {
	for p := b[1152:]; ; p = p[64:] {
		if p[5] == 0x81 && p[8] != 0 {
			return p
		}
	}
}

func moved(b []byte, blocks byte) []byte { firstFile(b)[16] += blocks; return b }

func resized(b []byte, size int64) []byte {
	p := firstFile(b)
	for i := range 8 {
		p[8+i] = byte(size >> (8 * i))
	}
	return b
}

func TestRefused(t *testing.T) {
	for name, entries := range map[string][]erofs.Entry{
		"no directory":     {{Path: "a/b"}},
		"below a file":     {{Path: "a"}, {Path: "a/b"}},
		"twice":            {{Path: "a"}, {Path: "b"}, {Path: "a"}},
		"no name":          {{Path: ""}},
		"itself":           {{Path: "."}},
		"above":            {{Path: ".."}},
		"a name too long":  {{Path: strings.Repeat("a", 256)}},
		"a zero":           {{Path: "a\x00b"}},
		"negative":         {{Path: "a", Size: -1}},
		"a link nowhere":   {{Path: "a", Kind: erofs.Link}},
		"a long target":    {{Path: "a", Kind: erofs.Link, Target: strings.Repeat("t", 4096)}},
		"a sized link":     {{Path: "a", Kind: erofs.Link, Target: "b", Size: 1}},
		"too many blocks":  {{Path: "a", Size: 1 << 44}},
		"left, come again": {{Path: "a", Kind: erofs.Directory}, {Path: "b"}, {Path: "a/c"}},
	} {
		if _, err := erofs.New(len(entries), func(i int) erofs.Entry { return entries[i] }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The tools of EROFS's own authors find nothing wrong.
func TestFsck(t *testing.T) {
	for name, tree := range map[string]tree{"nothing": {}, "sample": sample()} {
		file := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(file, image(t, tree), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program(t, "fsck.erofs"), "-d9", "--extract", file).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("<W>")) || bytes.Contains(out, []byte("<E>")) {
			t.Errorf("%s: %v\n%s", name, err, tail(out))
		}
	}
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }
