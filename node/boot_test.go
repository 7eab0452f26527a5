package node

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
)

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
	got := f.stored()
	if len(got.Errors) != 1 || got.Errors[0] != `warming "/slow": status 500` {
		t.Errorf("errors %q", got.Errors)
	}
	if len(got.Warm) != 1 || got.Warm[0].Path != "/slow" || got.Warm[0].Status != 500 {
		t.Errorf("warm %+v", got.Warm)
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
	if time.Since(begun) > actionTimeout/2 {
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
	t.Parallel()
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
	f.options.Config.Gate.Timeout = gatePause
	if _, err := Boot(t.Context(), f.options); err == nil {
		t.Fatal("a bad release passed")
	}
	f.options.Config.Gate.Timeout = time.Minute
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
