package fetch_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/tier"

	reader "github.com/erofs/go-erofs"

	"github.com/wpbake/wpbake/artifact"
)

// fetchImage fetches v1 as an image.
func fetchImage(tb testing.TB, s artifact.Store) string {
	tb.Helper()
	dest := filepath.Join(tb.TempDir(), "v1.erofs")
	_, err := fetch.Release(context.Background(), s, fetch.Options{Version: "v1", Dest: dest, As: fetch.AsImage})
	artifacttest.Must(tb, err)
	return dest
}

// An image holds what a directory holds, with the same times and modes.
func TestImageIsTheDirectory(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Sample())
	dir := filepath.Join(t.TempDir(), "d")
	artifacttest.Must(t, buildtest.Fetch(t.Context(), s, dir))
	artifacttest.Must(t, os.Remove(dir+"/.wpbake/manifest.json"))
	image := fetchImage(t, s)
	artifacttest.Gone(t, image+".partial")
	artifacttest.Must(t, fetch.CheckImage(t.Context(), image, b.Manifest))
	f, err := os.Open(image)
	artifacttest.Must(t, err)
	defer f.Close()
	fsys, err := reader.Open(f)
	artifacttest.Must(t, err)
	sameFiles(t, fsys, os.DirFS(dir), func(p string) bool { return p == ".wpbake" }) // its time: a file was removed from it
	out, err := exec.Command(tier.Program(t, "fsck.erofs"), "--extract", image).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("<W>")) || bytes.Contains(out, []byte("<E>")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// The kernel agrees.
func TestMountedImageIsTheDirectory(t *testing.T) {
	tier.Root(t)
	s, _ := buildtest.Published(t, artifacttest.Sample())
	dir := filepath.Join(t.TempDir(), "d")
	artifacttest.Must(t, buildtest.Fetch(t.Context(), s, dir))
	artifacttest.Must(t, os.Remove(dir+"/.wpbake/manifest.json"))
	at := t.TempDir()
	if out, err := exec.Command("mount", "-t", "erofs", "-o", "ro,loop", fetchImage(t, s), at).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { artifacttest.Must(t, syscall.Unmount(at, 0)) })
	sameFiles(t, os.DirFS(at), os.DirFS(dir), func(p string) bool { return p == ".wpbake" })
}

// sameFiles compares two file systems, without the times of some entries.
func sameFiles(t *testing.T, got, want fs.FS, untimed func(string) bool) {
	t.Helper()
	list := func(fsys fs.FS) map[string]string {
		all := map[string]string{}
		artifacttest.Must(t, fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || p == "." {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			content := ""
			switch d.Type() {
			case fs.ModeSymlink:
				content, err = fs.ReadLink(fsys, p)
			case 0:
				var b []byte
				b, err = fs.ReadFile(fsys, p)
				content = string(b)
			}
			if d.Type() != fs.ModeSymlink && !untimed(p) { // a link's own time stays the disk's
				content = info.ModTime().UTC().String() + content
			}
			all[p] = d.Type().String() + info.Mode().Perm().String() + content
			return err
		}))
		return all
	}
	artifacttest.Diff(t, list(got), list(want))
}

func TestFetchImageOverSomethingElse(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Sample())
	whole, err := os.ReadFile(fetchImage(t, s))
	artifacttest.Must(t, err)
	last := len(whole) - 1 // a zero after the file list
	for name, content := range map[string][]byte{
		"nothing":      nil,
		"text":         []byte("text"),
		"cut":          whole[:len(whole)-4096],
		"longer":       append(bytes.Clone(whole), make([]byte, 4096)...),
		"superblock":   flipped(whole, 1024+64),
		"unused bytes": flipped(whole, 0),
		"inode":        flipped(whole, 1152+64+32),
		"content":      flipped(whole, bytes.Index(whole, []byte("wp-blog-header"))),
		"padding":      flipped(whole, last),
	} {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "v1.erofs")
			artifacttest.Must(t, os.WriteFile(dest, content, 0o644))
			var d *artifact.Damaged
			if err := fetch.CheckImage(t.Context(), dest, b.Manifest); !errors.As(err, &d) {
				t.Errorf("checked: %v", err)
			}
			_, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest, As: fetch.AsImage})
			var taken *fetch.DestTaken
			if !errors.As(err, &taken) {
				t.Errorf("got %v", err)
			}
			left, err := os.ReadFile(dest)
			artifacttest.Must(t, err)
			if !bytes.Equal(left, content) {
				t.Error("it was changed")
			}
		})
	}
	dest := filepath.Join(t.TempDir(), "v1.erofs")
	artifacttest.Must(t, os.WriteFile(dest, whole, 0o644))
	got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest, As: fetch.AsImage})
	if err != nil || got.Downloaded != 0 {
		t.Errorf("a whole one: %d bytes were downloaded, %v", got.Downloaded, err)
	}
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// Every byte of an image counts.
func TestEveryByteOfAnImage(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"index.php": "<?php\n", "a/b.css": "b{}", "a/link": "-> b.css"})
	dest := fetchImage(t, s)
	f, err := os.OpenFile(dest, os.O_RDWR, 0)
	artifacttest.Must(t, err)
	defer f.Close()
	for off := int64(0); off < b.Manifest.Image.Size; off += int64(tier.Some(1, 7)) {
		was := make([]byte, 1)
		_, err := f.ReadAt(was, off)
		artifacttest.Must(t, err)
		_, err = f.WriteAt([]byte{was[0] ^ 0x10}, off)
		artifacttest.Must(t, err)
		if fetch.CheckImage(t.Context(), dest, b.Manifest) == nil {
			t.Fatalf("byte %d, which was %#x, may be another", off, was[0])
		}
		_, err = f.WriteAt(was, off)
		artifacttest.Must(t, err)
	}
	artifacttest.Must(t, fetch.CheckImage(t.Context(), dest, b.Manifest))
}

// The names that blkid shows come from the tree, whatever the version is.
func TestImageNames(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"index.php": "x"})
	image, err := os.ReadFile(fetchImage(t, s))
	artifacttest.Must(t, err)
	if name := string(bytes.TrimRight(image[1024+64:1024+80], "\x00")); name != "wp-"+b.Manifest.Tree.Digest.Short() {
		t.Errorf("the label is %q", name)
	}
	if id := binary.BigEndian.Uint32(image[1024+48:]); !strings.HasPrefix(b.Manifest.Tree.Digest.Hex(), hex8(id)) {
		t.Errorf("the UUID begins with %x", id)
	}
}

func hex8(n uint32) string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i := range b {
		b[i] = digits[n>>(28-4*i)&15]
	}
	return string(b[:])
}
