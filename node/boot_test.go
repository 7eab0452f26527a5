package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
)

const (
	testRun    = "20261123T201500Z-1a2b3c"
	testSecret = "correct-horse"
)

// watchedStore counts and spoils what a node does to its store.
type watchedStore struct {
	artifact.Store
	mu     sync.Mutex
	gets   []string
	before func(op, name string) error // may be nil
}

func (s *watchedStore) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	s.mu.Lock()
	s.gets = append(s.gets, name)
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before("get", name); err != nil {
			return nil, err
		}
	}
	return s.Store.Get(ctx, name, off, n)
}

func (s *watchedStore) Put(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	if s.before != nil {
		if err := s.before("put", name); err != nil {
			return artifact.Stat{}, err
		}
	}
	return s.Store.Put(ctx, name, body, c)
}

// downloads counts reads of artifacts, as opposed to manifests.
func (s *watchedStore) downloads() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.gets {
		if strings.HasSuffix(name, ".tar.zst") {
			n++
		}
	}
	return n
}

// metadata answers with an instance id, or with an error.
type metadata struct {
	id  string
	err error
}

func (m metadata) Instance(context.Context) (Identity, error) {
	return Identity{Instance: m.id, Region: "eu-central-1"}, m.err
}

// console collects log lines and calls on each.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
	on   func(line string)
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.text.Write(p)
	c.mu.Unlock()
	if c.on != nil {
		c.on(string(p))
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// fixture is a node with everything around it.
type fixture struct {
	t       *testing.T
	dir     string // all of it
	store   *watchedStore
	hook    *hook
	console *console
	options Options
	page    http.HandlerFunc // nil serves the tree; set between boots
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	store, err := dirstore.New(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: dir, store: &watchedStore{Store: store}, hook: &hook{}, console: &console{}}
	web := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(web.Close)
	f.options = Options{
		Store: f.store, Group: "shop", Run: testRun, Hook: "wpbake-boot",
		Metadata: metadata{id: "i-0123456789abcdef0"}, Lifecycle: f.hook,
		Parameters: parameters{"DB_PASSWORD": testSecret},
		Log:        f.console,
		Config: Config{
			Root:           filepath.Join(dir, "srv"),
			Environment:    Environment{Path: "/shop/", File: filepath.Join(dir, "run", "environment")},
			Hooks:          [][]string{{"/bin/sh", "-c", `echo hook "$WPBAKE_VERSION" >>` + dir + "/trace"}},
			Services:       [][]string{{"/bin/sh", "-c", `. "$WPBAKE_ENVIRONMENT" && test -f "$WPBAKE_CURRENT/wordpress/index.php" && echo service >>` + dir + "/trace"}},
			Warm:           []string{"/", "/wp-login.php"},
			Gate:           Gate{URL: web.URL + "/", Host: "www.example.com", Status: 200, Body: "wp-content", Timeout: 2 * gatePause},
			Logs:           []string{filepath.Join(dir, "php.log")},
			Timeout:        time.Minute,
			CommandTimeout: 10 * time.Second,
			Keep:           3,
		},
	}
	f.release("v42")
	return f
}

func (f *fixture) serve(w http.ResponseWriter, r *http.Request) {
	if f.page != nil {
		f.page(w, r)
		return
	}
	f.serveTree(w, r)
}

// serveTree resolves the current link for each request, as a web server with
// $realpath_root does.
func (f *fixture) serveTree(w http.ResponseWriter, r *http.Request) {
	docroot, err := filepath.EvalSymlinks(filepath.Join(f.options.Config.Root, "current", "wordpress"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set(ReleaseHeader, docroot)
	http.ServeFile(w, r, filepath.Join(docroot, "wp-content", "page.html"))
}

// release builds and publishes a version and pins it.
func (f *fixture) release(v artifact.Version) artifact.Digest {
	f.t.Helper()
	tree := filepath.Join(f.t.TempDir(), "tree")
	for name, content := range map[string]string{
		"index.php": "<?php // " + string(v), "wp-login.php": "<?php",
		"wp-content/page.html": "<link href='/wp-content/style.css'> " + string(v),
	} {
		file := filepath.Join(tree, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			f.t.Fatal(err)
		}
	}
	built, err := artifact.Build(f.t.Context(), artifact.BuildOptions{Tree: tree, Out: f.t.TempDir(), Version: v})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := artifact.Publish(f.t.Context(), f.store, built.Dir, nil); err != nil {
		f.t.Fatal(err)
	}
	f.options.Version, f.options.Manifest = v, built.Digest
	return built.Digest
}

// stored is the report that the store holds.
func (f *fixture) stored() Report {
	f.t.Helper()
	o, err := f.store.Store.Get(context.WithoutCancel(f.t.Context()), ReportName("shop", testRun, "i-0123456789abcdef0"), 0, -1)
	if err != nil {
		f.t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		f.t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		f.t.Fatal(err)
	}
	if strings.Contains(string(b), testSecret) {
		f.t.Errorf("the secret is in the report:\n%s", b)
	}
	return r
}

// current is the digest that the link names, or "".
func (f *fixture) current() string {
	f.t.Helper()
	target, err := os.Readlink(filepath.Join(f.options.Config.Root, "current"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return filepath.Base(target)
}

// boot boots and wants it to pass.
func (f *fixture) boot() Report {
	f.t.Helper()
	r, err := Boot(f.t.Context(), f.options)
	if err != nil {
		f.t.Fatalf("%v\n%s", err, f.console)
	}
	return r
}

func stageNames(r Report) (names []string) {
	for _, s := range r.Stages {
		names = append(names, s.Name)
	}
	return names
}

func TestBoot(t *testing.T) {
	f := newFixture(t)
	var reported bool
	f.hook.onComplete = func(Completion) { reported = f.stored().Verdict == Good }
	r := f.boot()

	want := []string{"identity", "lock", "manifest", "fetch", "switch", "environment", "hooks", "services", "warm", "gate", "report", "lifecycle"}
	if diff := cmp.Diff(want, stageNames(r)); diff != "" {
		t.Error(diff)
	}
	got := f.stored()
	if diff := cmp.Diff(want[:10], stageNames(got)); diff != "" {
		t.Error(diff)
	}
	if got.Verdict != Good || got.Manifest != f.options.Manifest || got.Instance != "i-0123456789abcdef0" || got.Cause != "" || got.Finished.Before(got.Started) {
		t.Errorf("report %+v", got)
	}
	if diff := cmp.Diff([]Completion{{Action{"shop", "wpbake-boot", got.Instance}, Continue}}, f.hook.told()); diff != "" {
		t.Error(diff)
	}
	if !reported {
		t.Error("the hook was told before the report was there")
	}
	if f.current() != f.options.Manifest.Short() {
		t.Errorf("current is %q", f.current())
	}
	trace, err := os.ReadFile(filepath.Join(f.dir, "trace"))
	if err != nil || string(trace) != "hook v42\nservice\n" {
		t.Errorf("commands left %q, %v", trace, err)
	}
	if fi, err := os.Stat(f.options.Config.Environment.File); err != nil || fi.Mode() != 0o600 {
		t.Errorf("environment file: %v, %v", fi, err)
	}
	if lines := strings.Count(f.console.String(), "\n"); lines != len(want) {
		t.Errorf("%d log lines:\n%s", lines, f.console)
	}
	if strings.Contains(f.console.String(), testSecret) {
		t.Errorf("the secret is in the log:\n%s", f.console)
	}
}

// Without the parts that are optional, a boot is still a boot.
func TestBootByHand(t *testing.T) {
	f := newFixture(t)
	c := &f.options.Config
	c.Environment, c.Hooks, c.Services, c.Warm, c.Logs = Environment{File: "/nowhere"}, nil, nil, nil, nil
	f.options.Hook, f.options.Lifecycle, f.options.Parameters, f.options.Log = "", nil, nil, nil
	want := []string{"identity", "lock", "manifest", "fetch", "switch", "gate", "report", "lifecycle"}
	if diff := cmp.Diff(want, stageNames(f.boot())); diff != "" {
		t.Error(diff)
	}
}

func TestBootFailures(t *testing.T) {
	type fixtureT = *fixture
	sh := func(script string) [][]string { return [][]string{{"/bin/sh", "-c", script}} }
	put := func(f fixtureT, file, content string) {
		if err := os.WriteFile(filepath.Join(f.dir, file), []byte(content), 0o644); err != nil {
			f.t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		spoil    func(f fixtureT)
		stage    string
		cause    string
		switched bool // the failure comes after the switch
	}{
		"current is a directory": {
			spoil: func(f fixtureT) {
				link := filepath.Join(f.options.Config.Root, "current")
				if err := errors.Join(os.Remove(link), os.MkdirAll(link, 0o755)); err != nil {
					f.t.Fatal(err)
				}
			},
			stage: "lock", cause: `current" is no link`,
		},
		"not published": {func(f fixtureT) { f.options.Version = "v43" }, "manifest", `version "v43" is not published`, false},
		"other manifest": {
			func(f fixtureT) { f.options.Manifest = artifact.DigestOf([]byte("pinned")) },
			"manifest", "the template pins sha256:", false,
		},
		"store down": {
			func(f fixtureT) {
				f.store.before = func(op, name string) error {
					if strings.HasSuffix(name, ".tar.zst") {
						return errors.New("503 SlowDown")
					}
					return nil
				}
			}, "fetch", "503 SlowDown", false,
		},
		"changed artifact": {
			func(f fixtureT) {
				file := filepath.Join(f.dir, "store", "releases", "v42", "wordpress.tar.zst")
				b, err := os.ReadFile(file)
				if err != nil {
					f.t.Fatal(err)
				}
				b[len(b)/3] ^= 1
				if err := os.WriteFile(file, b, 0o644); err != nil {
					f.t.Fatal(err)
				}
			}, "fetch", "", false,
		},
		"panic": {
			func(f fixtureT) { f.store.before = func(op, name string) error { mayPanic(op, name); return nil } },
			"manifest", "panic: no memory", false,
		},
		"parameters": {func(f fixtureT) { f.options.Parameters = parameters(nil) }, "environment", "AccessDeniedException", true},
		"bad name":   {func(f fixtureT) { f.options.Parameters = parameters{"db": testSecret} }, "environment", `parameter "db"`, true},
		"hook fails": {func(f fixtureT) { f.options.Config.Hooks = sh("echo no such table; exit 1") }, "hooks", "exit status 1: no such table", true},
		"hook tells the secret": {
			func(f fixtureT) {
				f.options.Config.Hooks = sh(`. "$WPBAKE_ENVIRONMENT"; echo "denied: $DB_PASSWORD"; exit 1`)
			},
			"hooks", "denied: [DB_PASSWORD]", true,
		},
		"service hangs": {
			func(f fixtureT) {
				f.options.Config.Services, f.options.Config.CommandTimeout = sh("sleep 60"), 100*time.Millisecond
			}, "services", "no end after 100ms", true,
		},
		"wrong release": {
			func(f fixtureT) { f.page = answer(200, "/srv/wordpress/releases/0123456789ab", "wp-content") },
			"gate", "wrong release", true,
		},
		"empty body": {
			func(f fixtureT) { f.page = answer(200, f.options.Manifest.Short(), "") }, "gate", "empty body", true,
		},
		"PHP": {
			func(f fixtureT) {
				f.page = func(w http.ResponseWriter, r *http.Request) {
					put(f, "php.log", "old\n[23-Nov-2026 20:15:00 UTC] "+parseError+"\n")
					answer(500, f.options.Manifest.Short(), "")(w, r)
				}
			}, "gate", parseError, true,
		},
		"old PHP error": {
			func(f fixtureT) {
				put(f, "php.log", "[22-Nov-2026 20:15:00 UTC] "+parseError+"\n")
				f.page = answer(500, f.options.Manifest.Short(), "")
			}, "gate", "status 500, want 200", true,
		},
		"report": {
			func(f fixtureT) {
				var failed bool
				f.store.before = func(op, _ string) error {
					if op == "put" && !failed {
						failed = true
						return errors.New("AccessDenied")
					}
					return nil
				}
			}, "report", "AccessDenied", true,
		},
		"hook panics": {func(f fixtureT) { f.hook.panics = Continue }, "lifecycle", "panic: out of memory", true},
		"too slow": {
			func(f fixtureT) {
				f.options.Config.Timeout = 400 * time.Millisecond
				f.options.Config.Services = sh("echo waiting; sleep 60")
			}, "services", "the boot took longer than 400ms: ", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			old := f.release("v41")
			f.boot()
			f.release("v42")
			f.hook.completions, f.hook.calls = nil, 0
			*f.console = console{}

			c.spoil(f)
			r, err := Boot(t.Context(), f.options)
			var failed *Failed
			if !errors.As(err, &failed) || failed.Stage != c.stage || !strings.Contains(failed.Cause, c.cause) {
				t.Fatalf("got %v, want %s: %s\n%s", err, c.stage, c.cause, f.console)
			}
			got := f.stored()
			if got.Verdict != Bad || got.Stage != c.stage || got.Cause != failed.Cause || got.Version != f.options.Version {
				t.Errorf("stored %+v", got)
			}
			if strings.Contains(got.Cause, "\n") || r.Verdict != Bad {
				t.Errorf("report %+v", r)
			}
			if told := f.hook.told(); len(told) != 1 || told[0].Result != Abandon {
				t.Errorf("the hook was told %v", told)
			}
			wantCurrent, wantManifest := old.Short(), artifact.Digest("")
			if c.switched {
				wantCurrent, wantManifest = f.options.Manifest.Short(), f.options.Manifest
			}
			if name != "current is a directory" && f.current() != wantCurrent {
				t.Errorf("current is %q, want %q", f.current(), wantCurrent)
			}
			if got.Manifest != wantManifest {
				t.Errorf("report claims %q", got.Manifest)
			}
			for _, left := range names(t, filepath.Join(f.options.Config.Root, "releases")) {
				if strings.Contains(left, "partial") {
					t.Errorf("staging %q is left", left)
				}
			}
		})
	}
}

// mayPanic stands for a bug below the boot.
func mayPanic(op, name string) {
	if op == "get" && strings.HasSuffix(name, "manifest.json") {
		panic("no memory")
	}
}

func TestBootWithoutIdentity(t *testing.T) {
	f := newFixture(t)
	f.options.Metadata = metadata{err: errors.New("connection refused")}
	f.options.Config.Timeout = 50 * time.Millisecond
	r, err := Boot(t.Context(), f.options)
	var failed *Failed
	if !errors.As(err, &failed) || failed.Stage != "identity" || !strings.Contains(failed.Cause, "connection refused") || r.Verdict != Bad {
		t.Errorf("got %v, %+v", err, r)
	}
	if f.hook.calls != 0 || !strings.Contains(f.console.String(), "neither report nor ABANDON") {
		t.Errorf("console:\n%s", f.console)
	}
}

// What cannot even begin is reported and abandoned as well.
func TestRefuse(t *testing.T) {
	f := newFixture(t)
	o := f.options
	o.Config = Config{}
	if _, err := Boot(t.Context(), o); err == nil {
		t.Fatal("a boot without configuration passed")
	}
	if got := f.stored(); got.Stage != "config" || got.Verdict != Bad || got.Cause == "" {
		t.Errorf("stored %+v", got)
	}
	if told := f.hook.told(); len(told) != 1 || told[0].Result != Abandon {
		t.Errorf("the hook was told %v", told)
	}
	if _, err := Refuse(t.Context(), Options{}, errors.New("reading node config")); err == nil || !strings.Contains(err.Error(), "reading node config") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsValidate(t *testing.T) {
	f := newFixture(t)
	if err := f.options.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"version":     func(o *Options) { o.Version = "" },
		"manifest":    func(o *Options) { o.Manifest = "v42" },
		"store":       func(o *Options) { o.Store = nil },
		"metadata":    func(o *Options) { o.Metadata = nil },
		"group":       func(o *Options) { o.Group = "" },
		"run":         func(o *Options) { o.Run = "../x" },
		"lifecycle":   func(o *Options) { o.Lifecycle = nil },
		"environment": func(o *Options) { o.Parameters = nil },
		"config":      func(o *Options) { o.Config.Root = "srv" },
	} {
		o := f.options
		spoil(&o)
		if o.Validate() == nil {
			t.Errorf("bad %s passed", name)
		}
	}
}

func TestWarmingFailsNoBoot(t *testing.T) {
	f := newFixture(t)
	f.options.Config.Warm = []string{"/slow"}
	f.page = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.WriteHeader(500)
			return
		}
		f.serveTree(w, r)
	}
	f.boot()
	if got := f.stored(); len(got.Errors) != 1 || got.Errors[0] != `warming "/slow": status 500` {
		t.Errorf("errors %q", got.Errors)
	}
}

// PHP errors that did not keep the gate from passing are still told.
func TestBootReportsLogs(t *testing.T) {
	f := newFixture(t)
	f.options.Config.Services = [][]string{{"/bin/sh", "-c", `. "$WPBAKE_ENVIRONMENT"; printf '%s\n' "PHP Fatal error:  cron with $DB_PASSWORD in /x on line 1" "ready" >` + f.dir + "/php.log"}}
	f.boot()
	got := f.stored()
	line := "PHP Fatal error:  cron with [DB_PASSWORD] in /x on line 1"
	if diff := cmp.Diff([]string{line}, got.Errors); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Log{{File: f.options.Config.Logs[0], Lines: []string{line, "ready"}}}, got.Logs); diff != "" {
		t.Error(diff)
	}
}

// A reboot verifies what is there, downloads nothing and does not wait for a
// hook that was told before.
func TestReboot(t *testing.T) {
	f := newFixture(t)
	f.boot()
	downloads := f.store.downloads()
	if downloads == 0 {
		t.Fatal("nothing was downloaded")
	}
	begun := time.Now()
	for range 3 {
		f.boot()
	}
	if got := f.store.downloads(); got != downloads {
		t.Errorf("%d downloads", got-downloads)
	}
	if time.Since(begun) > actionPatience/2 {
		t.Error("waited for the hook")
	}
	if told := f.hook.told(); len(told) != 1 {
		t.Errorf("the hook was told %v", told)
	}
}

func TestRebootRefusesAChangedTree(t *testing.T) {
	f := newFixture(t)
	f.boot()
	f.hook.completions = nil
	file := filepath.Join(f.options.Config.Root, "current", "wordpress", "index.php")
	if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, []byte("<?php // v4z"), 0o644)); err != nil {
		t.Fatal(err)
	}
	_, err := Boot(t.Context(), f.options)
	var failed *Failed
	if !errors.As(err, &failed) || failed.Stage != "fetch" {
		t.Fatalf("got %v", err)
	}
	if told := f.hook.told(); len(told) != 1 || told[0].Result != Abandon {
		t.Errorf("the hook was told %v", told)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "<?php // v4z" {
		t.Error("the evidence was touched")
	}
}

func TestOldReleasesGo(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 5 {
		d := f.release(artifact.Version(fmt.Sprintf("v%d", i)))
		f.hook.completions = nil
		f.boot()
		if i >= 2 {
			want = append(want, d.Short())
		}
	}
	// A release that never passed goes too, but only once another has.
	bad := f.release("v5")
	f.hook.completions = nil
	f.page = answer(500, "", "")
	if _, err := Boot(t.Context(), f.options); err == nil {
		t.Fatal("a bad release passed")
	}
	check := func(want []string) {
		t.Helper()
		s, err := Status(t.Context(), StatusOptions{Root: f.options.Config.Root})
		if err != nil {
			t.Fatal(err)
		}
		wanted, got := map[string]bool{}, map[string]bool{}
		for _, w := range want {
			wanted[w] = true
		}
		for _, g := range s.Releases {
			got[g] = true
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Error(diff)
		}
	}
	check(append(want, bad.Short()))
	f.page = nil
	last := f.release("v6")
	f.hook.completions = nil
	f.boot()
	check([]string{want[1], want[2], last.Short()})
}

func TestStatus(t *testing.T) {
	f := newFixture(t)
	root := f.options.Config.Root
	if _, err := Status(t.Context(), StatusOptions{Root: root}); err == nil {
		t.Error("a node where there is none")
	}
	f.boot()
	yes, no := true, false
	d := f.options.Manifest
	status := func(deep bool) State {
		t.Helper()
		s, err := Status(t.Context(), StatusOptions{Root: root, Deep: deep})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := State{
		Root: root, Current: d.Short(), Version: "v42", Manifest: d, Releases: []string{d.Short()},
		Boots: []Booted{{Version: "v42", Manifest: d, Instance: "i-0123456789abcdef0", Group: "shop", Run: testRun, At: f.stored().Finished}},
	}
	if diff := cmp.Diff(want, status(false)); diff != "" {
		t.Error(diff)
	}
	want.Verified = &yes
	if diff := cmp.Diff(want, status(true)); diff != "" {
		t.Error(diff)
	}

	if err := os.WriteFile(filepath.Join(root, "current", "wordpress", "shell.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := status(true); s.Problem == "" || cmp.Diff(&no, s.Verified) != "" {
		t.Errorf("a web shell went unseen: %+v", s)
	}
	manifest := filepath.Join(root, "current", ".wpbake", "manifest.json")
	if err := os.Rename(manifest, manifest+".moved"); err != nil {
		t.Fatal(err)
	}
	if s := status(false); s.Problem != "its manifest is missing" || s.Version != "" {
		t.Errorf("state %+v", s)
	}
	if err := os.Rename(manifest+".moved", manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "releases", d.Short()), filepath.Join(root, "releases", "0123456789ab")); err != nil {
		t.Fatal(err)
	}
	if s := status(false); s.Problem != "its directory is missing" {
		t.Errorf("state %+v", s)
	}
	link := filepath.Join(root, "current")
	if err := errors.Join(os.Remove(link), os.Symlink("releases/0123456789ab", link)); err != nil {
		t.Fatal(err)
	}
	if s := status(true); s.Problem != "its manifest is that of "+d.Short() {
		t.Errorf("state %+v", s)
	}
}
