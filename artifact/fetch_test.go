package artifact_test

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
)

func fetch(ctx context.Context, s artifact.Store, dest string) error {
	_, err := artifact.Fetch(ctx, s, artifact.FetchOptions{Version: "v1", Dest: dest})
	return err
}

func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", name, err)
	}
}

func TestFetchPinsDigest(t *testing.T) {
	s, _ := published(t, tree{"index.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	_, err := artifact.Fetch(t.Context(), s, artifact.FetchOptions{Version: "v1", Dest: dest, Digest: artifact.DigestOf(nil)})
	var d *artifact.Damaged
	if !errors.As(err, &d) || d.Hint() == "" {
		t.Errorf("got %v", err)
	}
	gone(t, dest)
}

func TestFetchNotPublished(t *testing.T) {
	s := store(t, t.TempDir())
	dest := filepath.Join(t.TempDir(), "above", "d")
	err := fetch(t.Context(), s, dest)
	var not *artifact.NotPublished
	if !errors.Is(err, artifact.ErrNotFound) || !errors.As(err, &not) || not.Hint() == "" {
		t.Errorf("got %v", err)
	}
	gone(t, filepath.Dir(dest))
}

func TestFetchOverSomethingElse(t *testing.T) {
	s, b := published(t, tree{"index.php": "x", "a/b.php": "y"})
	for name, spoil := range map[string]func(t *testing.T, dest string){
		"changed file": func(t *testing.T, d string) { check(t, os.WriteFile(d+"/wordpress/index.php", []byte("z"), 0o644)) },
		"changed file of the same time": func(t *testing.T, d string) {
			info, err := os.Stat(d + "/wordpress/index.php")
			check(t, err)
			check(t, os.WriteFile(d+"/wordpress/index.php", []byte("z"), 0o644))
			check(t, os.Chtimes(d+"/wordpress/index.php", info.ModTime(), info.ModTime()))
		},
		"touched file":    func(t *testing.T, d string) { check(t, os.Chtimes(d+"/wordpress/index.php", time.Now(), time.Now())) },
		"missing file":    func(t *testing.T, d string) { check(t, os.Remove(d+"/wordpress/a/b.php")) },
		"extra file":      func(t *testing.T, d string) { check(t, os.WriteFile(d+"/wordpress/shell.php", nil, 0o644)) },
		"extra directory": func(t *testing.T, d string) { check(t, os.Mkdir(d+"/wordpress/x", 0o755)) },
		"extra link":      func(t *testing.T, d string) { check(t, os.Symlink("index.php", d+"/wordpress/x")) },
		"link out":        func(t *testing.T, d string) { check(t, os.Symlink("/etc/passwd", d+"/wordpress/x")) },
		"beside":          func(t *testing.T, d string) { check(t, os.WriteFile(d+"/x", nil, 0o644)) },
		"among ours":      func(t *testing.T, d string) { check(t, os.WriteFile(d+"/.wpbake/x", nil, 0o644)) },
		"mode of a file":  func(t *testing.T, d string) { check(t, os.Chmod(d+"/wordpress/index.php", 0o600)) },
		"setuid":          func(t *testing.T, d string) { check(t, os.Chmod(d+"/wordpress/index.php", 0o644|os.ModeSetuid)) },
		"mode of a dir":   func(t *testing.T, d string) { check(t, os.Chmod(d+"/wordpress/a", 0o777)) },
		"list": func(t *testing.T, d string) {
			check(t, os.WriteFile(d+"/.wpbake/SHA256SUMS", nil, 0o644))
		},
		"manifest": func(t *testing.T, d string) {
			check(t, os.WriteFile(d+"/.wpbake/manifest.json", nil, 0o644))
		},
		"a file": func(t *testing.T, d string) {
			check(t, os.RemoveAll(d))
			check(t, os.WriteFile(d, nil, 0o644))
		},
		"a link to it": func(t *testing.T, d string) {
			check(t, os.Rename(d, d+"2"))
			check(t, os.Symlink(d+"2", d))
		},
		"empty": func(t *testing.T, d string) {
			check(t, os.RemoveAll(d))
			check(t, os.Mkdir(d, 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "d")
			check(t, fetch(t.Context(), s, dest))
			check(t, artifact.Check(dest, b.Manifest))
			spoil(t, dest)
			err := fetch(t.Context(), s, dest)
			var taken *artifact.DestTaken
			if !errors.As(err, &taken) || taken.Hint() == "" {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(dest); err != nil {
				t.Error(err)
			}
			gone(t, dest+".partial")
		})
	}
}

// Uploads and caches appear in a release that runs; they are not of it.
func TestCheckAllowsMutableState(t *testing.T) {
	s, b := published(t, tree{"wp-content/index.php": "x", "web/app/x.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	check(t, fetch(t.Context(), s, dest))
	check(t, os.Symlink("/mnt/uploads", dest+"/wordpress/wp-content/uploads"))
	check(t, os.Mkdir(dest+"/wordpress/web/app/cache", 0o700))
	check(t, artifact.Check(dest, b.Manifest))
	m, err := artifact.Unpacked(dest)
	check(t, err)
	if m.Digest() != b.Digest {
		t.Errorf("unpacked %s", m.Digest())
	}
}

// What a killed run left is thrown away.
func TestFetchDiscardsHalfStaging(t *testing.T) {
	s, b := published(t, tree{"index.php": "x"})
	dest := filepath.Join(t.TempDir(), "d")
	outside := t.TempDir()
	check(t, os.MkdirAll(dest+".partial/wordpress", 0o755))
	check(t, os.Symlink(outside, dest+".partial/.wpbake"))
	check(t, fetch(t.Context(), s, dest))
	check(t, artifact.Check(dest, b.Manifest))
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestCancelledFetchLeavesNothing(t *testing.T) {
	s, _ := published(t, sample())
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := artifact.Fetch(ctx, s, artifact.FetchOptions{Version: "v1", Dest: parent + "/a/b", Progress: func(p artifact.Progress) {
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
	s, b := published(t, sample())
	dest := filepath.Join(t.TempDir(), "d")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := fetch(t.Context(), s, dest); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	check(t, artifact.Check(dest, b.Manifest))
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
	s, b := published(t, sample())
	dest := filepath.Join(t.TempDir(), "d")
	check(t, fetch(t.Context(), brittle{s, 300_000}, dest))
	check(t, artifact.Check(dest, b.Manifest))
	err := fetch(t.Context(), brittle{s, 0}, dest+"2")
	var d *artifact.Damaged
	if err == nil || errors.As(err, &d) || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("a connection that never works: %v", err)
	}
	gone(t, dest+"2")
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
	b := build(t, artifact.BuildOptions{Tree: sample().write(t, t.TempDir()), Progress: record})
	s := store(t, t.TempDir())
	_, err := artifact.Publish(t.Context(), s, b.Dir, record)
	check(t, err)
	_, err = artifact.Fetch(t.Context(), s, artifact.FetchOptions{Version: "v1", Dest: filepath.Join(t.TempDir(), "d"), Progress: record})
	check(t, err)
	for _, stage := range []string{"building", "publishing", "fetching"} {
		if p := seen[stage]; p.Total == 0 || p.Done != p.Total {
			t.Errorf("%s ended with %+v", stage, p)
		}
	}
}

func TestPublishRefusesWhatItWasNotBuiltAs(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"flipped byte": func(t *testing.T, d string) {
			b, err := os.ReadFile(d + "/wordpress.tar.zst")
			check(t, err)
			b[len(b)/2] ^= 1
			check(t, os.WriteFile(d+"/wordpress.tar.zst", b, 0o644))
		},
		"truncated":   func(t *testing.T, d string) { check(t, os.Truncate(d+"/wordpress.tar.zst", 100)) },
		"no artifact": func(t *testing.T, d string) { check(t, os.Remove(d+"/wordpress.tar.zst")) },
		"no manifest": func(t *testing.T, d string) { check(t, os.Remove(d+"/manifest.json")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := build(t, artifact.BuildOptions{Tree: tree{"index.php": "x"}.write(t, t.TempDir())})
			spoil(t, b.Dir)
			s := store(t, t.TempDir())
			if _, err := artifact.Publish(t.Context(), s, b.Dir, nil); err == nil {
				t.Error("published")
			}
			if stats, err := s.List(t.Context(), ""); err != nil || len(stats) > 0 {
				t.Errorf("it left %v, %v", stats, err)
			}
		})
	}
}

// A publication that was killed before its manifest is finished by the same
// bytes, and holds its name against others.
func TestPublishFinishesHalfAPublication(t *testing.T) {
	s, b := published(t, tree{"index.php": "x"})
	check(t, s.Delete(t.Context(), "releases/v1/manifest.json", artifact.Condition{}))
	other := build(t, artifact.BuildOptions{Tree: tree{"index.php": "y"}.write(t, t.TempDir())})
	_, err := artifact.Publish(t.Context(), s, other.Dir, nil)
	var taken *artifact.VersionTaken
	if !errors.As(err, &taken) || taken.Have != "" || !strings.Contains(taken.Hint(), "releases/v1/wordpress.tar.zst") {
		t.Errorf("got %v", err)
	}
	p, err := artifact.Publish(t.Context(), s, b.Dir, nil)
	check(t, err)
	if !p.Created {
		t.Error("the publication was not finished")
	}
}

// Of many who publish different trees under one name, one wins.
func TestPublishersRace(t *testing.T) {
	s := store(t, t.TempDir())
	var builds []artifact.Built
	for i := range 6 {
		builds = append(builds, build(t, artifact.BuildOptions{Tree: tree{"index.php": strings.Repeat("x", i)}.write(t, t.TempDir())}))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []artifact.Digest
	for _, b := range builds {
		wg.Go(func() {
			p, err := artifact.Publish(t.Context(), s, b.Dir, nil)
			var taken *artifact.VersionTaken
			switch {
			case err == nil:
				mu.Lock()
				won = append(won, p.Digest)
				mu.Unlock()
			case !errors.As(err, &taken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d won", len(won))
	}
	_, err := artifact.Verify(t.Context(), s, "v1", won[0])
	check(t, err)
}
