package source_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact/build"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/mholt/archives"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/source"
)

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// site writes a tree with files of some sizes, modes and times, and links.
func site(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	for name, content := range map[string]string{
		"index.php":                           "<?php\n",
		"wp-includes/version.php":             "<?php $wp_version = '6.8.3';\n",
		"wp-content/themes/shop/Größe.css":    "body {}\n",
		"wp-content/plugins/cart/cart.php":    string(bytes.Repeat([]byte("<?php /* cart */\n"), 9000)),
		"wp-content/plugins/cart/assets/none": "",
		"wp-cli":                              "#!/bin/sh\r\n",
	} {
		p := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
	check(t, os.Chmod(filepath.Join(dir, "wp-cli"), 0o755))
	check(t, os.Symlink("../../index.php", filepath.Join(dir, "wp-content/themes/index.php")))
	check(t, os.Symlink("shop", filepath.Join(dir, "wp-content/themes/current")))
	return dir
}

// packed packs a directory into a tar, below a directory of the tar or not.
func packed(t *testing.T, dir, top string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	walk(t, dir, func(name string, info fs.FileInfo, target string, content []byte) {
		h, err := tar.FileInfoHeader(info, target)
		check(t, err)
		h.Name = top + name
		if info.IsDir() {
			h.Name += "/"
		}
		check(t, w.WriteHeader(h))
		_, err = w.Write(content)
		check(t, err)
	})
	check(t, w.Close())
	return b.Bytes()
}

func zipped(t *testing.T, dir, top string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	walk(t, dir, func(name string, info fs.FileInfo, target string, content []byte) {
		if info.IsDir() {
			return // as many packers do
		}
		h, err := zip.FileInfoHeader(info)
		check(t, err)
		h.Name, h.Method = top+name, zip.Deflate
		f, err := w.CreateHeader(h)
		check(t, err)
		_, err = f.Write(append(content, target...))
		check(t, err)
	})
	check(t, w.SetComment("made by a test"))
	check(t, w.Close())
	return b.Bytes()
}

func walk(t *testing.T, dir string, visit func(name string, info fs.FileInfo, target string, content []byte)) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		check(t, err)
		info, err := d.Info()
		check(t, err)
		var target string
		var content []byte
		switch d.Type() {
		case fs.ModeSymlink:
			target, err = os.Readlink(p)
		case 0:
			content, err = os.ReadFile(p)
		}
		visit(filepath.ToSlash(rel), info, target, content)
		return err
	}))
}

// write puts an archive into a file whose name says nothing.
func write(tb testing.TB, b []byte) string {
	tb.Helper()
	p := filepath.Join(tb.TempDir(), "archive")
	check(tb, os.WriteFile(p, b, 0o644))
	return p
}

func compressed(t *testing.T, how archives.Compressor, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := how.OpenWriter(&out)
	check(t, err)
	_, err = io.Copy(w, bytes.NewReader(b))
	check(t, err)
	check(t, w.Close())
	return out.Bytes()
}

// committed makes a repository of a directory and returns its place.
func committed(t *testing.T, dir string) string {
	t.Helper()
	repo, err := git.PlainInit(dir, false)
	check(t, err)
	work, err := repo.Worktree()
	check(t, err)
	check(t, work.AddWithOptions(&git.AddOptions{All: true}))
	_, err = work.Commit("all", &git.CommitOptions{Author: &object.Signature{Name: "t", Email: "t@example.com", When: time.Unix(1e9, 0)}})
	check(t, err)
	return dir
}

// TestSameContentSameBytes builds one content from every kind of source.
func TestSameContentSameBytes(t *testing.T) {
	dir := site(t)
	plain := packed(t, dir, "wordpress/")
	mono := filepath.Join(t.TempDir(), "mono")
	check(t, os.MkdirAll(mono, 0o755))
	check(t, os.Rename(site(t), filepath.Join(mono, "site")))
	check(t, os.WriteFile(filepath.Join(mono, "README"), []byte("other\n"), 0o644))
	committed(t, mono)
	repository := committed(t, site(t))
	check(t, os.WriteFile(filepath.Join(repository, "index.php"), []byte("changed since\n"), 0o644))
	bare := filepath.Join(t.TempDir(), "bare.git")
	_, err := git.PlainClone(bare, true, &git.CloneOptions{URL: repository})
	check(t, err)

	want := digest(t, dir)
	for name, spec := range map[string]string{
		"zip":                   write(t, zipped(t, dir, "wordpress/")),
		"zip without directory": write(t, zipped(t, dir, "")),
		"tar":                   write(t, plain),
		"tar of .":              write(t, packed(t, dir, "./")),
		"tar without directory": write(t, packed(t, dir, "")),
		"tar.gz":                write(t, compressed(t, archives.Gz{}, plain)),
		"tar.bz2":               write(t, compressed(t, archives.Bz2{}, plain)),
		"tar.xz":                write(t, compressed(t, archives.Xz{}, plain)),
		"tar.zst":               write(t, compressed(t, archives.Zstd{}, plain)),
		"git":                   "git:" + repository + "@HEAD",
		"git by branch":         "git:" + repository + "@master",
		"git, bare":             "git:" + bare + "@HEAD",
		"git, below":            "git:" + filepath.Join(mono, "site") + "@HEAD",
		"git, from below":       "git:" + filepath.Join(mono, "site") + "@master",
	} {
		t.Run(name, func(t *testing.T) {
			if got := digest(t, spec); got != want {
				t.Errorf("got %s, want %s", got.Short(), want.Short())
			}
		})
	}
}

// digest builds the artifact of a source, and checks that nothing is left.
func digest(t *testing.T, spec string) artifact.Digest {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir, cleanup, err := source.Open(t.Context(), spec)
	check(t, err)
	b, err := build.Build(t.Context(), build.Options{Tree: dir, Out: t.TempDir(), Version: "v1"})
	check(t, err)
	check(t, cleanup())
	left, err := os.ReadDir(tmp)
	check(t, err)
	if len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
	if _, err := os.Stat(spec); err != nil && spec[:4] != "git:" {
		t.Errorf("the source itself is gone: %v", err)
	}
	return b.Digest
}

func TestIn(t *testing.T) {
	for _, tt := range []struct{ spec, want string }{
		{"site", "/etc/shop/site"},
		{"../site.zip", "/etc/site.zip"},
		{"/srv/site", "/srv/site"},
		{"git:.@HEAD", "git:/etc/shop/.@HEAD"},
		{"git:../repo@v1", "git:/etc/repo@v1"},
		{"git:/srv/repo@v1", "git:/srv/repo@v1"},
	} {
		if got := source.In("/etc/shop", tt.spec); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.spec, got, tt.want)
		}
	}
}
