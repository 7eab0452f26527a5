package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mholt/archives"

	"github.com/wpbake/wpbake/internal/tier"
)

// member is an entry of an archive that a test makes.
type member struct {
	name, content string
	mode          fs.FileMode
	kind          byte   // of a tar entry; 0 is a file
	target        string // of a link
	pax           map[string]string
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// tarOf writes members without asking whether they make sense.
func tarOf(members ...member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Linkname: m.target, Mode: 0o644 | int64(m.mode.Perm()), PAXRecords: m.pax}
		for bit, octal := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
			if m.mode&bit != 0 {
				h.Mode |= octal
			}
		}
		if m.kind == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(m.content))
		}
		if m.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: m.kind, PAXRecords: m.pax}
		}
		must(w.WriteHeader(h))
		if m.kind == 0 {
			_, err := io.WriteString(w, m.content)
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

func zipOf(members ...member) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(0o644 | m.mode)
		f, err := w.CreateHeader(h)
		must(err)
		_, err = io.WriteString(f, m.content+m.target)
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

func packedBy(how archives.Compressor, b []byte) []byte {
	var out bytes.Buffer
	w, err := how.OpenWriter(&out)
	must(err)
	_, err = w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// altered returns a copy with other bytes at an offset, from the end if
// negative.
func altered(b []byte, off int, with ...byte) []byte {
	b = bytes.Clone(b)
	if off < 0 {
		off += len(b)
	}
	copy(b[off:], with)
	return b
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func str(name string) member { return member{name: name, content: "<?php\n"} }
func dir(name string) member { return member{name: name + "/", kind: tar.TypeDir, mode: fs.ModeDir} }
func sym(name, target string) member {
	return member{name: name, kind: tar.TypeSymlink, mode: fs.ModeSymlink, target: target}
}
func hard(name, target string) member         { return member{name: name, kind: tar.TypeLink, target: target} }
func special(name string, kind byte) member   { return member{name: name, kind: kind} }
func moded(name string, m fs.FileMode) member { return member{name: name, content: "x", mode: m} }
func sized(name string, n int) member         { return member{name: name, content: strings.Repeat("\x00", n)} }
func nested(depth int) member                 { return str(strings.Repeat("d/", depth) + "f") }
func many(n int) (m []member) {
	for i := range n {
		m = append(m, member{name: fmt.Sprintf("d%d/f%d", i%7, i)})
	}
	return m
}

// testLimits are small, so that a test meets them.
func testLimits() limits {
	return limits{bytes: 1 << 20, entries: 100, depth: 8, ratio: 50, slack: 64 << 10}
}

// hostile is every archive that must be refused, with the rule.
func hostile() map[string]struct {
	rule    string
	archive []byte
} {
	type h = struct {
		rule    string
		archive []byte
	}
	all := map[string]h{}
	both := func(name, rule string, members ...member) {
		all["tar "+name] = h{rule, tarOf(members...)}
		all["zip "+name] = h{rule, zipOf(members...)}
	}
	for _, name := range []string{"../x", "a/../../x", "a/../x", "a/..", "/x", "//x", "/etc/cron.d/x", `..\x`, `a\..\..\x`, `C:\x`, `C:/x`, `\\host\x`,
		"a//b", "a/./b", "./../x", ".//x", "a\x00b", "a\nb", "\xff", strings.Repeat("n", 256), strings.Repeat("long/", 500) + "x"} {
		if !strings.Contains(name, "\x00") { // tar ends names there
			all["tar path "+name] = h{RulePath, tarOf(str("index.php"), str(name))}
		}
		all["zip path "+name] = h{RulePath, zipOf(str("index.php"), str(name))}
	}
	both("file through a link", RuleDuplicate, sym("d", "e"), str("d/x"))
	both("file over a link", RuleDuplicate, sym("d", "e"), str("d"))
	both("link over a file", RuleDuplicate, str("d"), sym("d", "e"))
	both("one path twice", RuleDuplicate, str("a"), str("a"))
	both("one path twice, spelled otherwise", RuleDuplicate, str("a"), str("./a"))
	both("one directory twice", RuleDuplicate, dir("a"), dir("a"))
	both("file over a directory", RuleDuplicate, str("a/b"), str("a"))
	both("file below a file", RuleDuplicate, str("a"), str("a/b"))
	both("directory over a file", RuleDuplicate, str("a"), dir("a"))
	both("absolute link", RuleLink, sym("a", "/etc/passwd"))
	both("escaping link", RuleLink, sym("a", "../x"))
	both("escaping link, deeper", RuleLink, sym("a/b", "../../x"))
	both("link down and out", RuleLink, sym("a", "b/../../x"))
	both("link with a backslash", RuleLink, sym("a", `..\x`))
	both("empty link", RuleLink, sym("a", ""))
	both("links in steps", RuleLink, sym("a/b", ".."), sym("c", "a/b/../x"))
	both("privileged file", RuleSpecial, moded("a", fs.ModeSetuid|0o755))
	both("privileged group", RuleSpecial, moded("a", fs.ModeSetgid|0o755))
	both("sticky file", RuleSpecial, moded("a", fs.ModeSticky|0o755))
	both("too deep", RuleDepth, nested(9))
	both("too many entries", RuleEntries, many(120)...)
	both("bomb", RuleBomb, str("a"), sized("b", 1<<20-10))
	all["tar bomb"] = h{RuleBomb, gz(tarOf(str("a"), sized("b", 1<<20-10)))}
	all["tar too many bytes"] = h{RuleBomb, tarOf(sized("b", 1<<20+1))}
	all["tar bomb of empty blocks"] = h{RuleBomb, gz(joined(tarOf(str("a")), make([]byte, 4<<20)))}
	all["zip device"] = h{RuleSpecial, zipOf(moded("a", fs.ModeDevice))}
	all["zip pipe"] = h{RuleSpecial, zipOf(moded("a", fs.ModeNamedPipe))}
	all["zip socket"] = h{RuleSpecial, zipOf(moded("a", fs.ModeSocket))}
	for _, kind := range []byte{tar.TypeChar, tar.TypeBlock, tar.TypeFifo, tar.TypeCont, 'Z'} {
		all["tar special "+string(kind)] = h{RuleSpecial, tarOf(special("a", kind))}
	}
	for name, target := range map[string]string{"out": "../x", "absolute": "/etc/passwd", "to nothing": "b", "to itself": "a", "to a directory": "d"} {
		all["tar hard link "+name] = h{RuleLink, tarOf(dir("d"), hard("a", target))}
	}
	all["tar hard link to a link"] = h{RuleLink, tarOf(sym("s", "f"), hard("a", "s"), str("f"))}
	addDamaged(func(name, rule string, b []byte) { all[name] = h{rule, b} })
	return all
}

// addDamaged adds archives that are not what somebody packed.
func addDamaged(add func(name, rule string, b []byte)) {
	members := []member{str("index.php"), {name: "a.php", content: strings.Repeat("abcdefgh", 300)}}
	plain, z := tarOf(members...), zipOf(members...)
	add("tar cut at a member", RuleDamaged, plain[:1024])
	add("tar cut in a member", RuleDamaged, plain[:2048])
	add("tar without the end", RuleDamaged, plain[:len(plain)-1024])
	add("tar with half an end", RuleDamaged, plain[:len(plain)-512])
	add("tar with a wrong header", RuleDamaged, altered(plain, 1024+20, 'x'))
	add("tar after a tar", RuleDamaged, joined(plain, plain))
	add("tar and more", RuleDamaged, joined(plain, []byte("more")))
	for name, how := range map[string]archives.Compressor{"gz": archives.Gz{}, "bz2": archives.Bz2{}, "xz": archives.Xz{}, "zst": archives.Zstd{}} {
		b := packedBy(how, plain)
		add(name+" cut", RuleDamaged, b[:len(b)-3])
		add(name+" cut in half", RuleDamaged, b[:len(b)/2])
		add(name+" altered", RuleDamaged, altered(b, len(b)/2, ^b[len(b)/2], ^b[len(b)/2+1]))
		add(name+" and more", RuleDamaged, joined(b, []byte("more")))
		add(name+" of no tar", RuleDamaged, packedBy(how, []byte("hello")))
		add(name+" twice", RuleDamaged, joined(b, b))
	}
	add("zip with a wrong checksum", RuleDamaged, altered(z, bytes.LastIndex(z, []byte("PK\x01\x02"))+16, 1, 2, 3, 4))
	add("zip cut", RuleDamaged, z[:len(z)-1])
	add("zip cut in half", RuleDamaged, z[:len(z)/2])
	add("zip with a head", RuleDamaged, joined([]byte("PK<?php evil(); ?>"), z))
	add("zip with a tail", RuleDamaged, joined(z, []byte("<?php evil();")))
	add("zip after a zip", RuleDamaged, joined(z, z))
	add("zip with an end in its comment", RuleDamaged, joined(altered(z, -2, zipEndSize), []byte("PK\x05\x06"), make([]byte, 18)))
	add("zip with other content", RuleDamaged, altered(z, bytes.Index(z, []byte("a.php"))+8, 'x', 'y', 'z', 'x', 'y', 'z'))
	add("zip encrypted", RuleEncrypted, altered(z, bytes.Index(z, []byte("PK\x01\x02"))+8, z[bytes.Index(z, []byte("PK\x01\x02"))+8]|1))
	add("zip of no entries", RuleDamaged, zipOf())
	add("zip that counts a million", RuleEntries, altered(z, -zipEndSize+10, 0xf0, 0xff))
	add("zip directory elsewhere", RuleDamaged, altered(z, -zipEndSize+16, 1, 0, 0, 0))
	add("tar of nothing", RuleFormat, tarOf())
	add("gz of an empty tar", RuleFormat, gz(tarOf()))
	add("empty file", RuleFormat, nil)
	add("text", RuleFormat, []byte("hello"))
	add("page", RuleFormat, []byte("<html>404</html>"))
	add("rar", RuleFormat, []byte("Rar!\x1a\x07\x01\x00aaaaaaaaaaaaaaaa"))
	add("7z", RuleFormat, []byte("7z\xbc\xaf\x27\x1caaaaaaaaaaaaaaaa"))
	add("short PK", RuleDamaged, []byte("PK"))
}

// sandbox is a temporary directory with something outside of it that must not
// change.
type sandbox struct{ tmp, sentinel string }

func newSandbox(tb testing.TB) sandbox {
	outer := tb.TempDir()
	b := sandbox{tmp: filepath.Join(outer, "tmp"), sentinel: filepath.Join(outer, "x")}
	must(os.Mkdir(b.tmp, 0o755))
	must(os.WriteFile(b.sentinel, []byte("sentinel"), 0o444))
	return b
}

// check wants the sentinel untouched and nothing beside it, or left.
func (b sandbox) check(tb testing.TB) {
	tb.Helper()
	if got, err := os.ReadFile(b.sentinel); err != nil || string(got) != "sentinel" {
		tb.Fatalf("the sentinel is %q, %v", got, err)
	}
	for dir, want := range map[string]int{filepath.Dir(b.tmp): 2, b.tmp: 0} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
			tb.Fatalf("%s holds %v, %v", dir, entries, err)
		}
	}
}

func TestHostile(t *testing.T) {
	for name, h := range hostile() {
		t.Run(strings.ToValidUTF8(name, "?"), func(t *testing.T) {
			b := newSandbox(t)
			t.Setenv("TMPDIR", b.tmp)
			p := filepath.Join(t.TempDir(), "archive")
			must(os.WriteFile(p, h.archive, 0o644))
			_, cleanup, err := open(t.Context(), p, testLimits())
			var refused *Refused
			if !errors.As(err, &refused) || refused.Rule != h.rule || refused.Hint() == "" {
				t.Errorf("got %v, want %s", err, h.rule)
			}
			must(cleanup())
			b.check(t)
		})
	}
}

// What looks odd and is honest.
func TestAccepted(t *testing.T) {
	for name, archive := range map[string][]byte{
		"hard link to a file before it": tarOf(str("a"), hard("b", "a")),
		"a directory after its files":   tarOf(str("a/b"), dir("a")),
		"a leading hyphen":              zipOf(str("-a"), str("b")),
		"a link back inside":            tarOf(str("a/b"), sym("a/c", "../d/e"), str("d/e")),
		"a link to the top":             zipOf(str("a/b"), sym("a/c", "..")),
		"what a desktop leaves":         zipOf(str("wp/index.php"), str("__MACOSX/wp/._index.php")),
		"git's own header":              tarOf(member{kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "abc"}}, str("a")),
		"a file alone":                  tarOf(str("a")),
	} {
		b := newSandbox(t)
		t.Setenv("TMPDIR", b.tmp)
		p := filepath.Join(t.TempDir(), "archive")
		must(os.WriteFile(p, archive, 0o644))
		dir, cleanup, err := open(t.Context(), p, testLimits())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if stripped := filepath.Base(dir) == "wp"; stripped != (name == "what a desktop leaves") {
			t.Errorf("%s: the tree is %s", name, dir)
		}
		must(cleanup())
		b.check(t)
	}
}

// An archive of every kind, cut after any of its bytes, is refused, and leaves
// nothing.
func TestCutAnywhere(t *testing.T) {
	tier.Test(t)
	b := newSandbox(t)
	t.Setenv("TMPDIR", b.tmp)
	p := filepath.Join(t.TempDir(), "archive.txt") // a name proves nothing
	members := []member{str("index.php"), {name: "a/b.php", content: "abcdefgh"}}
	plain := tarOf(members...)
	all := map[string][]byte{"tar": plain, "zip": zipOf(members...)}
	for name, how := range map[string]archives.Compressor{"gz": archives.Gz{}, "bz2": archives.Bz2{}, "xz": archives.Xz{}, "zst": archives.Zstd{}} {
		all[name] = packedBy(how, plain)
	}
	for name, whole := range all {
		must(os.WriteFile(p, whole, 0o644))
		_, cleanup, err := open(t.Context(), p, testLimits())
		if err != nil {
			t.Errorf("%s, whole: %v", name, err)
		}
		must(cleanup())
		for n := range whole {
			must(os.WriteFile(p, whole[:n], 0o644))
			_, cleanup, err := open(t.Context(), p, testLimits())
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Errorf("%s, cut at %d of %d: %v", name, n, len(whole), err)
			}
			must(cleanup())
		}
		b.check(t)
	}
}

// A million entries are refused by their number, in little time.
func TestMillionEntries(t *testing.T) {
	b := newSandbox(t)
	t.Setenv("TMPDIR", b.tmp)
	p := filepath.Join(t.TempDir(), "archive")
	one := tarOf(member{name: "a", kind: tar.TypeDir, mode: fs.ModeDir})[:512]
	clear(one[:100])
	copy(one[148:], "        ")
	rest := 0 // what the checksum has besides the name
	for _, c := range one {
		rest += int(c)
	}
	f, err := os.Create(p)
	must(err)
	w, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	must(err)
	for i := range tier.Some(1_000_000, 50_000) {
		name, sum := fmt.Sprintf("%d/\x00", i), rest
		for _, c := range []byte(name) {
			sum += int(c)
		}
		copy(one, name)
		copy(one[148:], fmt.Sprintf("%06o\x00 ", sum))
		_, err := w.Write(one)
		must(err)
	}
	must(errors.Join(w.Close(), f.Close()))
	l := defaultLimits()
	l.entries = 5000 // making half a million directories is no part of this
	_, cleanup, err := open(t.Context(), p, l)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Rule != RuleEntries {
		t.Errorf("got %v", err)
	}
	must(cleanup())
	b.check(t)
}

func TestInterrupted(t *testing.T) {
	b := newSandbox(t)
	t.Setenv("TMPDIR", b.tmp)
	p := filepath.Join(t.TempDir(), "archive")
	must(os.WriteFile(p, tarOf(str("a")), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Open(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.check(t)
}

// fuzz wants any bytes to be refused, or staged without a trace outside.
func fuzz(t *testing.T, archive []byte) {
	b := newSandbox(t)
	t.Setenv("TMPDIR", b.tmp)
	p := filepath.Join(t.TempDir(), "archive")
	must(os.WriteFile(p, archive, 0o644))
	dir, cleanup, err := open(t.Context(), p, testLimits())
	if refused := (*Refused)(nil); err != nil && !errors.As(err, &refused) {
		t.Errorf("not a refusal: %v", err)
	}
	if err == nil {
		inside(t, dir)
	}
	must(cleanup())
	b.check(t)
}

// inside wants every link of a staged tree to end in the staging directory.
func inside(t *testing.T, dir string) {
	top, err := filepath.EvalSymlinks(dir)
	must(err)
	if filepath.Dir(filepath.Dir(top)) != os.Getenv("TMPDIR") {
		top = filepath.Dir(top) // a top-level directory was taken off
	}
	must(filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		end, err := filepath.EvalSymlinks(p)
		if err == nil && end != top && !strings.HasPrefix(end, top+"/") {
			t.Errorf("%s leads to %s", p, end)
		}
		return nil
	}))
}

func FuzzTar(f *testing.F) {
	f.Add(tarOf(str("a/b"), sym("c", "a/b"), hard("d", "a/b")))
	for name, h := range hostile() {
		if strings.HasPrefix(name, "tar") && len(h.archive) < 8<<10 {
			f.Add(h.archive)
		}
	}
	for _, how := range []archives.Compressor{archives.Gz{}, archives.Bz2{}, archives.Xz{}, archives.Zstd{}} {
		f.Add(packedBy(how, tarOf(str("a/b"), sym("c", "a/b"))))
	}
	f.Fuzz(fuzz)
}

func FuzzZip(f *testing.F) {
	f.Add(zipOf(str("a/b"), sym("c", "a/b")))
	for name, h := range hostile() {
		if strings.HasPrefix(name, "zip") && len(h.archive) < 8<<10 {
			f.Add(h.archive)
		}
	}
	f.Fuzz(fuzz)
}
