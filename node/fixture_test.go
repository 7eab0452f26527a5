package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/node/disk"
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
			Gate:           Gate{URL: web.URL + "/", Host: "www.example.com", Status: 200, Body: "wp-content", Timeout: time.Minute},
			Logs:           []string{filepath.Join(dir, "php.log")},
			Timeout:        time.Minute,
			CommandTimeout: time.Minute,
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
	built, err := build.Build(f.t.Context(), build.Options{Tree: tree, Out: f.t.TempDir(), Version: v})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := build.Publish(f.t.Context(), f.store, built.Dir, nil); err != nil {
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

func (f *fixture) disk() disk.Disk { return disk.At(f.options.Config.Root) }

// place is where the pinned release lies.
func (f *fixture) place() disk.Release { return f.disk().Release(f.options.Manifest) }

func (f *fixture) releases() string { return filepath.Join(f.options.Config.Root, disk.ReleasesDir) }

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}
