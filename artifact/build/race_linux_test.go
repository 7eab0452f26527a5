package build_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/tier"
	"golang.org/x/sys/unix"
)

// swaps is how often each race swaps a directory and a link: against Fetch a
// million times together.
const swaps = 250_000

// swapper exchanges two names until it did so often enough.
type swapper struct {
	dir, link, target string
	swaps             int64
	swapped           atomic.Int64
	done              chan struct{}
}

// start swaps in a goroutine of its own. Where the directory is gone, or took
// the link along, it puts the link back and goes on.
func (s *swapper) start(t *testing.T, wg *sync.WaitGroup) {
	s.done = make(chan struct{})
	wg.Go(func() {
		defer close(s.done)
		for s.swapped.Load() < s.swaps && t.Context().Err() == nil {
			if unix.Renameat2(unix.AT_FDCWD, s.dir, unix.AT_FDCWD, s.link, unix.RENAME_EXCHANGE) == nil {
				s.swapped.Add(1)
				continue
			}
			if info, err := os.Lstat(s.link); err == nil && info.Mode().Type() != fs.ModeSymlink {
				os.RemoveAll(s.link)
			}
			os.Symlink(s.target, s.link)
		}
	})
}

func (s *swapper) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// TestRaceAgainstFetch swaps a directory that Fetch writes into for a link that
// leads outside, all the time. Whatever Fetch then says, nothing outside is
// touched, and what has the release's name is the release.
func TestRaceAgainstFetch(t *testing.T) {
	tier.Test(t)
	made := buildtest.Build(t, build.Options{Tree: artifacttest.Tree{
		"a/one.php": "one", "a/two.php": strings.Repeat("two", 500), "b/three.css": "three", "link": "-> a/one.php",
	}.Write(t, t.TempDir())})
	s := inStore(t, made)
	for name, within := range map[string]string{
		"staging":          "p/d.partial",
		"directory in it":  "p/d.partial/wordpress",
		"directory deeper": "p/d.partial/wordpress/a",
		"parent":           "p",
		// Modes are then set by further calls.
		"directory, umask 077": "p/d.partial/wordpress",
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "umask 077") {
				defer unix.Umask(unix.Umask(0o077))
			}
			top := artifacttest.InMemory(t)
			outside := artifacttest.OutsideOf(t, top)
			times := within != "p" // whose link is a parent like any other
			before := artifacttest.Looks(t, outside, times)
			if err := os.Mkdir(filepath.Join(top, "p"), 0o755); err != nil {
				t.Fatal(err)
			}
			race := &swapper{dir: filepath.Join(top, within), link: filepath.Join(top, "link"), target: outside, swaps: swaps}
			if err := os.Symlink(outside, race.link); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			race.start(t, &wg)
			fetched, refused := 0, 0
			for race.running() {
				if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: filepath.Join(top, "p", "d")}); err == nil {
					fetched++
				} else {
					refused++
				}
				judgeRace(t, top, func(dir string) error {
					if strings.HasPrefix(within, "p/d.partial/") {
						return nil // who can write in there changes the release at any time
					}
					return fetch.Check(dir, made.Manifest)
				})
			}
			wg.Wait()
			if after := artifacttest.Looks(t, outside, times); after != before {
				t.Errorf("outside was\n%s\nand is\n%s", before, after)
			}
			t.Logf("%d swaps, %d fetched, %d refused", race.swapped.Load(), fetched, refused)
			if fetched+refused == 0 {
				t.Error("nothing was fetched meanwhile")
			}
		})
	}
}

// judgeRace takes the release away, wherever the parent was when it was
// fetched; one that has the name is whole.
func judgeRace(t *testing.T, top string, check func(dir string) error) {
	t.Helper()
	for _, name := range []string{"p/d", "link/d", "outside/d"} {
		moved := filepath.Join(top, "judged")
		if os.Rename(filepath.Join(top, name), moved) != nil {
			continue
		}
		if info, err := os.Lstat(moved); err != nil || !info.IsDir() {
			t.Fatalf("%s was %v, %v", name, info, err)
		}
		if err := check(moved); err != nil {
			t.Errorf("%s has the name of a release: %v", name, err)
		}
		// A swap that had begun may end in what was moved meanwhile, and put a
		// link where a directory was just seen; the next one does not find it.
		if os.RemoveAll(moved) != nil {
			if err := os.RemoveAll(moved); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRaceAgainstBuild swaps a directory of the tree, and one in it, for links
// that lead outside, while the tree is built. What is built holds nothing from
// outside; what is refused is refused as a tree that changes, or for the link.
func TestRaceAgainstBuild(t *testing.T) {
	for name, within := range map[string]string{"directory": "tree/a", "directory deeper": "tree/a/b", "file": "tree/a/b/f"} {
		t.Run(name, func(t *testing.T) {
			top := artifacttest.InMemory(t)
			outside := filepath.Join(top, "outside")
			for _, dir := range []string{outside, filepath.Join(top, "tree/a/b"), filepath.Join(outside, "b")} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, content := range map[string]string{
				"tree/a/f": "inside", "tree/a/b/f": "inside", "tree/z": "inside",
				"outside/f": "outside", "outside/b/f": "outside", "outside/secret": "outside",
			} {
				if err := os.WriteFile(filepath.Join(top, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			race := &swapper{dir: filepath.Join(top, within), link: filepath.Join(top, "link"), target: outside, swaps: swaps / 4}
			if within == "tree/a/b/f" {
				race.target = filepath.Join(outside, "secret")
			}
			if err := os.Symlink(race.target, race.link); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			race.start(t, &wg)
			built, refused := 0, map[string]int{}
			for i := 0; race.running(); i++ {
				out := filepath.Join(top, fmt.Sprint("out", i))
				b, err := build.Build(t.Context(), build.Options{Tree: filepath.Join(top, "tree"), Out: out, Version: "v1"})
				var te *tree.Refused
				var changed *tree.Unsteady
				switch {
				case err == nil:
					built++
					holdsOnly(t, b, "inside")
				case errors.As(err, &te):
					refused[te.Rule]++
				case errors.As(err, &changed):
					refused["tree/changed"]++
				default:
					t.Errorf("neither built nor refused: %v", err)
				}
				if err := os.RemoveAll(out); err != nil {
					t.Fatal(err)
				}
			}
			wg.Wait()
			t.Logf("%d swaps, %d built, refused %v", race.swapped.Load(), built, refused)
			if built+len(refused) == 0 {
				t.Error("nothing was built meanwhile")
			}
		})
	}
}

// holdsOnly wants every file of an artifact on disk to have one content.
func holdsOnly(t *testing.T, b build.Built, content string) {
	t.Helper()
	s := inStore(t, b)
	dest := filepath.Join(artifacttest.InMemory(t), "d")
	if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest}); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(dest, "wordpress"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		got, err := os.ReadFile(p)
		if string(got) != content {
			t.Errorf("%s holds %q", p, got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(dest)
}
