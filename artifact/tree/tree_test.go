package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"golang.org/x/sys/unix"
)

func mkfifo(t *testing.T, name string) { artifacttest.Must(t, syscall.Mkfifo(name, 0o644)) }

func TestRefusedTrees(t *testing.T) {
	chain := artifacttest.Tree{"l0": "-> index.php"}
	for i := range 9 {
		chain[fmt.Sprintf("l%d", i+1)] = fmt.Sprintf("-> l%d", i)
	}
	for _, tt := range []struct {
		name string
		tree artifacttest.Tree
		make func(t *testing.T, dir string) // what tree cannot say
		rule string
		path string
	}{
		{"absolute link", artifacttest.Tree{"a/l": "-> /etc/passwd"}, nil, artifact.RuleLinkAbsolute, "a/l"},
		{"escaping link", artifacttest.Tree{"a/l": "-> ../../x"}, nil, artifact.RuleLinkEscape, "a/l"},
		{"link out and in again", artifacttest.Tree{"a/l": "-> ../../site/index.php"}, nil, artifact.RuleLinkEscape, "a/l"},
		{"link through a link", artifacttest.Tree{"d/e/f": "x", "l": "-> d/e", "m": "-> l/../../../x"}, nil, artifact.RuleLinkEscape, "m"},
		{"loop", artifacttest.Tree{"a": "-> b", "b": "-> a"}, nil, artifact.RuleLinkLoop, "a"},
		{"self", artifacttest.Tree{"a": "-> a"}, nil, artifact.RuleLinkLoop, "a"},
		{"directory above", artifacttest.Tree{"a/b/l": "-> .."}, nil, artifact.RuleLinkLoop, "a/b/l"},
		{"root", artifacttest.Tree{"a/l": "-> .."}, nil, artifact.RuleLinkLoop, "a/l"},
		{"long chain", chain, nil, artifact.RuleLinkDepth, "l8"},
		{"dangling", artifacttest.Tree{"l": "-> nothing"}, nil, artifact.RuleLinkDangling, "l"},
		{"link to what is left out", artifacttest.Tree{"wp-content/uploads/x": "x", "l": "-> wp-content/uploads/x"}, nil, artifact.RuleLinkDangling, "l"},
		{"link through a file", artifacttest.Tree{"f": "x", "l": "-> f/x"}, nil, artifact.RuleLinkDangling, "l"},
		{"backslash", artifacttest.Tree{"x\\": "x"}, nil, artifact.RuleName, `x\`},
		{"pipe", artifacttest.Tree{}, func(t *testing.T, d string) { mkfifo(t, d+"/p") }, artifact.RuleSpecial, "p"},
		{"socket", artifacttest.Tree{}, func(t *testing.T, d string) {
			l, err := net.Listen("unix", d+"/s")
			artifacttest.Must(t, err)
			t.Cleanup(func() { l.Close() })
		}, artifact.RuleSpecial, "s"},
		{"setuid", artifacttest.Tree{"f": "x"}, func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/f", 0o755|os.ModeSetuid)) }, artifact.RuleMode, "f"},
		{"setgid", artifacttest.Tree{"f": "x"}, func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/f", 0o755|os.ModeSetgid)) }, artifact.RuleMode, "f"},
		{"sticky", artifacttest.Tree{"f": "x"}, func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/f", 0o644|os.ModeSticky)) }, artifact.RuleMode, "f"},
		{"sticky directory", artifacttest.Tree{"d/f": "x"}, func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/d", 0o777|os.ModeSticky)) }, artifact.RuleMode, "d"},
		{"setuid directory", artifacttest.Tree{"d/f": "x"}, func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/d", 0o755|os.ModeSetuid)) }, artifact.RuleMode, "d"},
		{"huge sparse file", artifacttest.Tree{"a": "x"}, func(t *testing.T, d string) {
			artifacttest.Must(t, os.WriteFile(d+"/huge", nil, 0o644))
			artifacttest.Must(t, os.Truncate(d+"/huge", 64<<30+1))
		}, artifact.RuleBytes, "huge"},
		{"long path", artifacttest.Tree{strings.Repeat(strings.Repeat("n", 200)+"/", 11) + "f": "x"}, nil, artifact.RuleName, strings.Repeat(strings.Repeat("n", 200)+"/", 10) + strings.Repeat("n", 200)},
		{"escaping link to a directory", artifacttest.Tree{"l": "-> ../..", "x": "y"}, nil, artifact.RuleLinkEscape, "l"},
		{"control character", artifacttest.Tree{"a\nb": "x"}, nil, artifact.RuleName, "a\nb"},
		{"not UTF-8", artifacttest.Tree{"a\xff": "x"}, nil, artifact.RuleName, "a\xff"},
		{"whiteout", artifacttest.Tree{"a/.wh.b": "x"}, nil, artifact.RuleName, "a/.wh.b"},
		{"case", artifacttest.Tree{"Foo.php": "x", "foo.php": "y"}, nil, artifact.RuleCollision, "foo.php"},
		{"accents", artifacttest.Tree{"caf\u00e9": "x", "cafe\u0301": "y"}, nil, artifact.RuleCollision, "caf\u00e9"},
		{"sharp s", artifacttest.Tree{"STRASSE": "x", "stra\u00dfe": "y"}, nil, artifact.RuleCollision, "stra\u00dfe"},
		{"nesting", artifacttest.Tree{strings.Repeat("d/", 70) + "f": "x"}, nil, artifact.RuleDepth, strings.Repeat("d/", 63) + "d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, out := filepath.Join(t.TempDir(), "site"), filepath.Join(t.TempDir(), "out")
			artifacttest.Must(t, os.Mkdir(dir, 0o755))
			tt.tree["index.php"] = "<?php"
			tt.tree.Write(t, dir)
			if tt.make != nil {
				tt.make(t, dir)
			}
			_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: out, Version: "v1"})
			var te *tree.Refused
			if !errors.As(err, &te) || te.Rule != tt.rule || te.Path != tt.path || te.Hint() == "" {
				t.Fatalf("got %v", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%q has control characters", err)
			}
			artifacttest.Gone(t, out)
		})
	}
}

func TestRefusalCountsTheOthers(t *testing.T) {
	dir := artifacttest.Tree{"a": "-> /x", "b": "-> /x", "c": "-> /x"}.Write(t, t.TempDir())
	_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: t.TempDir(), Version: "v1"})
	var te *tree.Refused
	if !errors.As(err, &te) || te.More != 2 || te.Path != "a" {
		t.Errorf("got %v", err)
	}
}

func TestLeftOut(t *testing.T) {
	all := artifacttest.Tree{
		"index.php": "x", ".git/config": "x", "a/.git": "x", "a/node_modules/m/x.js": "x", ".DS_Store": "x",
		"wp-content/uploads/2026/a.jpg": "x", "wp-content/uploads-old/a": "x", "wp-content/cache": "-> /var/cache",
		"wp-content/plugins/p/uploads/keep": "x", "web/app/uploads/a": "x", "app/uploads/keep": "x",
	}
	for _, tt := range []struct {
		name    string
		exclude []string
		gone    []string
	}{
		{"defaults", nil, []string{".git/config", "a/.git", "a/node_modules/m/x.js", ".DS_Store", "wp-content/uploads/2026/a.jpg", "wp-content/cache", "web/app/uploads/a"}},
		{"patterns", []string{"wp-content/c*", "/app", "*.js", "uploads/"}, []string{"wp-content/cache", "app/uploads/keep", "a/node_modules/m/x.js",
			"wp-content/uploads/2026/a.jpg", "wp-content/plugins/p/uploads/keep", "web/app/uploads/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := buildtest.PublishedAs(t, build.Options{Tree: all.Write(t, t.TempDir()), Exclude: tt.exclude})
			dest := filepath.Join(t.TempDir(), "d")
			_, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest})
			artifacttest.Must(t, err)
			got := artifacttest.Read(t, filepath.Join(dest, "wordpress"))
			for _, name := range tt.gone {
				if _, ok := got[name]; ok {
					t.Errorf("%s is in the artifact", name)
				}
			}
			kept := 0
			for name := range got {
				if !strings.HasSuffix(name, "/") {
					kept++
				}
			}
			if kept != len(all)-len(tt.gone) {
				t.Errorf("%d files are in the artifact, want %d", kept, len(all)-len(tt.gone))
			}
		})
	}
	if _, err := build.Build(t.Context(), build.Options{Tree: t.TempDir(), Out: t.TempDir(), Version: "v1", Exclude: []string{"["}}); err == nil {
		t.Error("a pattern that is none was accepted")
	}
}

// Owners, extended attributes, hard links, modes and a directory's inherited
// group bit are no part of a release.
func TestWhatIsDropped(t *testing.T) {
	plain := artifacttest.Tree{"a/f": "x", "a/g": "x"}
	want := buildtest.Build(t, build.Options{Tree: plain.Write(t, t.TempDir())}).Digest
	for name, change := range map[string]func(t *testing.T, dir string){
		"modes": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Chmod(d+"/a/f", 0o777))
			artifacttest.Must(t, os.Chmod(d+"/a", 0o700))
		},
		"group bit": func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/a", 0o775|os.ModeSetgid)) },
		"hard link": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Remove(d+"/a/g"))
			artifacttest.Must(t, os.Link(d+"/a/f", d+"/a/g"))
		},
		"attributes": func(t *testing.T, d string) {
			err := unix.Setxattr(d+"/a/f", "user.wpbake", []byte("x"), 0)
			if err != nil && !errors.Is(err, syscall.ENOTSUP) {
				t.Fatal(err)
			}
		},
		"times": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Chtimes(d+"/a/f", time.Unix(1, 0), time.Unix(1, 0)))
		},
	} {
		dir := plain.Write(t, t.TempDir())
		change(t, dir)
		if got := buildtest.Build(t, build.Options{Tree: dir}).Digest; got != want {
			t.Errorf("%s: built another artifact", name)
		}
	}
}

// The default output directory lies in the tree that people stand in.
func TestOutputInsideTree(t *testing.T) {
	dir := artifacttest.Tree{"index.php": "x"}.Write(t, t.TempDir())
	first := buildtest.Build(t, build.Options{Tree: dir, Out: filepath.Join(dir, "dist[1]")})
	again := buildtest.Build(t, build.Options{Tree: dir, Out: filepath.Join(dir, "dist[1]")})
	if first.Digest != again.Digest {
		t.Error("a build holds the one before it")
	}
	if _, err := build.Build(t.Context(), build.Options{Tree: dir, Out: dir, Version: "v1"}); err == nil {
		t.Error("the output may be the tree")
	}
}

// A tree that changes in every read is refused; the progress callback changes
// it while files are read.
func TestChangingTree(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string, n int)
		path   string
	}{
		{"grows", func(t *testing.T, d string, n int) {
			artifacttest.Must(t, os.WriteFile(d+"/z.php", bytes.Repeat([]byte("z"), n+1), 0o644))
		}, "z.php"},
		{"same size", func(t *testing.T, d string, n int) {
			artifacttest.Must(t, os.WriteFile(d+"/a.php", fmt.Appendf(nil, "%06d", n), 0o644))
		}, "a.php"},
		{"appears", func(t *testing.T, d string, n int) {
			artifacttest.Must(t, os.WriteFile(fmt.Sprintf("%s/new%d", d, n), nil, 0o644))
		}, ""},
		{"replaced", func(t *testing.T, d string, n int) {
			artifacttest.Must(t, os.WriteFile(d+"/tmp", []byte("123456"), 0o644))
			artifacttest.Must(t, os.Rename(d+"/tmp", d+"/a.php"))
		}, "a.php"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := artifacttest.Tree{"a.php": "123456", "z.php": "z"}.Write(t, t.TempDir())
			out := filepath.Join(t.TempDir(), "out")
			n := 0
			_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: out, Version: "v1",
				Progress: func(artifact.Progress) { n++; tt.change(t, dir, n) }})
			var changed *tree.Unsteady
			if !errors.As(err, &changed) || changed.Hint() == "" || tt.path != "" && changed.Path != tt.path {
				t.Fatalf("got %v", err)
			}
			if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it left %v", err)
			}
		})
	}
}

// A tree that changed once is read again.
func TestTreeSettles(t *testing.T) {
	dir := artifacttest.Tree{"a.php": "123456"}.Write(t, t.TempDir())
	n := 0
	b := buildtest.Build(t, build.Options{Tree: dir, Progress: func(artifact.Progress) {
		if n++; n == 1 {
			artifacttest.Must(t, os.WriteFile(dir+"/a.php", []byte("654321"), 0o644))
		}
	}})
	clean := buildtest.Build(t, build.Options{Tree: dir})
	if b.Digest != clean.Digest {
		t.Error("the artifact is not of the tree as it is now")
	}
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	dir := artifacttest.Sample().Write(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := build.Build(ctx, build.Options{Tree: dir, Out: out, Version: "v1", Progress: func(p artifact.Progress) {
		if p.Done > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left %v", err)
	}
}

// An output of its own inside the tree is left out; a directory of the tree
// is refused, or half a tree would be shipped.
func TestOutputInsideTheTree(t *testing.T) {
	dir := artifacttest.Sample().Write(t, t.TempDir())
	outside := buildtest.Build(t, build.Options{Tree: dir})
	for range 2 {
		if inside := buildtest.Build(t, build.Options{Tree: dir, Out: filepath.Join(dir, "out")}); inside.Digest != outside.Digest {
			t.Error("the output got into the artifact")
		}
	}
	for _, out := range []string{dir, filepath.Join(dir, "wp-content")} {
		_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: out, Version: "v1"})
		var refused *build.OutInTree
		if !errors.As(err, &refused) {
			t.Errorf("building into %s: %v", out, err)
		}
		if _, err := os.Lstat(filepath.Join(out, "releases")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it left %v", err)
		}
	}
}

// A pipe that takes a file's place between the walk and the read must not
// hang the build.
func TestPipeInPlaceOfFile(t *testing.T) {
	dir := artifacttest.Tree{"a.php": "123456"}.Write(t, t.TempDir())
	n := 0
	done := make(chan error, 1)
	go func() {
		_, err := build.Build(t.Context(), build.Options{Tree: dir, Out: t.TempDir(), Version: "v1", Progress: func(artifact.Progress) {
			if n++; n == 1 {
				os.Remove(dir + "/a.php")
				syscall.Mkfifo(dir+"/a.php", 0o644)
			}
		}})
		done <- err
	}()
	select {
	case err := <-done:
		var te *tree.Refused
		if !errors.As(err, &te) || te.Rule != artifact.RuleSpecial {
			t.Errorf("got %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the build hangs")
	}
}
