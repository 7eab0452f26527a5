package fetch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

func TestFetchPinsDigest(t *testing.T) {
	s, _ := buildtest.Published(t, artifacttest.Tree{"index.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	_, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest, Digest: artifact.DigestOf(nil)})
	var d *artifact.Damaged
	if !errors.As(err, &d) || d.Hint() == "" {
		t.Errorf("got %v", err)
	}
	artifacttest.Gone(t, dest)
}

func TestFetchNotPublished(t *testing.T) {
	s := buildtest.Store(t, t.TempDir())
	dest := filepath.Join(t.TempDir(), "above", "d")
	err := buildtest.Fetch(t.Context(), s, dest)
	var not *artifact.NotPublished
	if !errors.Is(err, artifact.ErrNotFound) || !errors.As(err, &not) || not.Hint() == "" {
		t.Errorf("got %v", err)
	}
	artifacttest.Gone(t, filepath.Dir(dest))
}

func TestFetchOverSomethingElse(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"index.php": "x", "a/b.php": "y"})
	for name, spoil := range map[string]func(t *testing.T, dest string){
		"changed file": func(t *testing.T, d string) {
			artifacttest.Must(t, os.WriteFile(d+"/wordpress/index.php", []byte("z"), 0o644))
		},
		"changed file of the same time": func(t *testing.T, d string) {
			info, err := os.Stat(d + "/wordpress/index.php")
			artifacttest.Must(t, err)
			artifacttest.Must(t, os.WriteFile(d+"/wordpress/index.php", []byte("z"), 0o644))
			artifacttest.Must(t, os.Chtimes(d+"/wordpress/index.php", info.ModTime(), info.ModTime()))
		},
		"touched file": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Chtimes(d+"/wordpress/index.php", time.Now(), time.Now()))
		},
		"missing file":    func(t *testing.T, d string) { artifacttest.Must(t, os.Remove(d+"/wordpress/a/b.php")) },
		"extra file":      func(t *testing.T, d string) { artifacttest.Must(t, os.WriteFile(d+"/wordpress/shell.php", nil, 0o644)) },
		"extra directory": func(t *testing.T, d string) { artifacttest.Must(t, os.Mkdir(d+"/wordpress/x", 0o755)) },
		"extra link":      func(t *testing.T, d string) { artifacttest.Must(t, os.Symlink("index.php", d+"/wordpress/x")) },
		"link out":        func(t *testing.T, d string) { artifacttest.Must(t, os.Symlink("/etc/passwd", d+"/wordpress/x")) },
		"beside":          func(t *testing.T, d string) { artifacttest.Must(t, os.WriteFile(d+"/x", nil, 0o644)) },
		"among ours":      func(t *testing.T, d string) { artifacttest.Must(t, os.WriteFile(d+"/.wpbake/x", nil, 0o644)) },
		"mode of a file":  func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/wordpress/index.php", 0o600)) },
		"setuid": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Chmod(d+"/wordpress/index.php", 0o644|os.ModeSetuid))
		},
		"mode of a dir": func(t *testing.T, d string) { artifacttest.Must(t, os.Chmod(d+"/wordpress/a", 0o777)) },
		"list": func(t *testing.T, d string) {
			artifacttest.Must(t, os.WriteFile(d+"/.wpbake/SHA256SUMS", nil, 0o644))
		},
		"manifest": func(t *testing.T, d string) {
			artifacttest.Must(t, os.WriteFile(d+"/.wpbake/manifest.json", nil, 0o644))
		},
		"a file": func(t *testing.T, d string) {
			artifacttest.Must(t, os.RemoveAll(d))
			artifacttest.Must(t, os.WriteFile(d, nil, 0o644))
		},
		"a link to it": func(t *testing.T, d string) {
			artifacttest.Must(t, os.Rename(d, d+"2"))
			artifacttest.Must(t, os.Symlink(d+"2", d))
		},
		"empty": func(t *testing.T, d string) {
			artifacttest.Must(t, os.RemoveAll(d))
			artifacttest.Must(t, os.Mkdir(d, 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "d")
			artifacttest.Must(t, buildtest.Fetch(t.Context(), s, dest))
			artifacttest.Must(t, fetch.Check(dest, b.Manifest))
			spoil(t, dest)
			err := buildtest.Fetch(t.Context(), s, dest)
			var taken *fetch.DestTaken
			if !errors.As(err, &taken) || taken.Hint() == "" {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(dest); err != nil {
				t.Error(err)
			}
			artifacttest.Gone(t, dest+".partial")
		})
	}
}

// Uploads and caches appear in a release that runs; they are not of it.
func TestCheckAllowsMutableState(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"wp-content/index.php": "x", "web/app/x.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	artifacttest.Must(t, buildtest.Fetch(t.Context(), s, dest))
	artifacttest.Must(t, os.Symlink("/mnt/uploads", dest+"/wordpress/wp-content/uploads"))
	artifacttest.Must(t, os.Mkdir(dest+"/wordpress/web/app/cache", 0o700))
	artifacttest.Must(t, fetch.Check(dest, b.Manifest))
	m, err := fetch.Unpacked(dest)
	artifacttest.Must(t, err)
	if m.Digest() != b.Digest {
		t.Errorf("unpacked %s", m.Digest())
	}
}

// What a killed run left is thrown away.
func TestFetchDiscardsHalfStaging(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"index.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	outside := t.TempDir()
	artifacttest.Must(t, os.MkdirAll(dest+".partial/wordpress", 0o755))
	artifacttest.Must(t, os.Symlink(outside, dest+".partial/.wpbake"))
	artifacttest.Must(t, buildtest.Fetch(t.Context(), s, dest))
	artifacttest.Must(t, fetch.Check(dest, b.Manifest))
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestCancelledFetchLeavesNothing(t *testing.T) {
	s, _ := buildtest.Published(t, artifacttest.Sample())
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := fetch.Release(ctx, s, fetch.Options{Version: "v1", Dest: parent + "/a/b", Progress: func(p artifact.Progress) {
		if p.Done > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// Two fetches of one release into one place take turns; both succeed.
func TestFetchesTakeTurns(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Sample())
	dest := filepath.Join(t.TempDir(), "d")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := buildtest.Fetch(t.Context(), s, dest); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	artifacttest.Must(t, fetch.Check(dest, b.Manifest))
}

// brittle breaks every connection after some bytes.
type brittle struct {
	artifact.Store
	bytes int64
}

func (b brittle) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	o, err := b.Store.Get(ctx, name, off, n)
	if err != nil || !strings.HasSuffix(name, ".zst") {
		return o, err
	}
	o.ReadCloser = brokenBody{io.LimitReader(o.ReadCloser, b.bytes), o.ReadCloser}
	return o, nil
}

type brokenBody struct {
	io.Reader
	io.Closer
}

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errors.New("connection reset by peer")
	}
	return n, err
}

func TestFetchGoesOnWhereAConnectionBroke(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Sample())
	dest := filepath.Join(t.TempDir(), "d")
	artifacttest.Must(t, buildtest.Fetch(t.Context(), brittle{s, 300_000}, dest))
	artifacttest.Must(t, fetch.Check(dest, b.Manifest))
	err := buildtest.Fetch(t.Context(), brittle{s, 0}, dest+"2")
	var d *artifact.Damaged
	if err == nil || errors.As(err, &d) || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("a connection that never works: %v", err)
	}
	artifacttest.Gone(t, dest+"2")
}

func TestProgress(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]artifact.Progress{}
	record := func(p artifact.Progress) {
		if !mu.TryLock() {
			t.Error("two calls at once")
			return
		}
		defer mu.Unlock()
		if last := seen[p.Stage]; p.Done < last.Done || p.Done > p.Total {
			t.Errorf("%+v after %+v", p, last)
		}
		seen[p.Stage] = p
	}
	b := buildtest.Build(t, build.Options{Tree: artifacttest.Sample().Write(t, t.TempDir()), Progress: record})
	s := buildtest.Store(t, t.TempDir())
	_, err := build.Publish(t.Context(), s, b.Dir, record)
	artifacttest.Must(t, err)
	_, err = fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: filepath.Join(t.TempDir(), "d"), Progress: record})
	artifacttest.Must(t, err)
	for _, stage := range []string{"building", "publishing", "fetching"} {
		if p := seen[stage]; p.Total == 0 || p.Done != p.Total {
			t.Errorf("%s ended with %+v", stage, p)
		}
	}
}
