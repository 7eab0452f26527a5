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

	"github.com/wpbake/wpbake/artifact"
)

func TestBootFailures(t *testing.T) {
	sh := func(script string) [][]string { return [][]string{{"/bin/sh", "-c", script}} }
	put := func(f *fixture, file, content string) {
		if err := os.WriteFile(filepath.Join(f.dir, file), []byte(content), 0o644); err != nil {
			f.t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		spoil    func(f *fixture)
		stage    string
		cause    string
		switched bool // the failure comes after the switch
	}{
		"current is a directory": {
			spoil: func(f *fixture) {
				link := filepath.Join(f.options.Config.Root, "current")
				if err := errors.Join(os.Remove(link), os.MkdirAll(link, 0o755)); err != nil {
					f.t.Fatal(err)
				}
			},
			stage: "lock", cause: `current" is no link`,
		},
		"not published": {func(f *fixture) { f.options.Version = "v43" }, "manifest", `version "v43" is not published`, false},
		"other manifest": {
			func(f *fixture) { f.options.Manifest = artifact.DigestOf([]byte("pinned")) },
			"manifest", "the template pins sha256:", false,
		},
		"store down": {
			func(f *fixture) {
				f.store.before = func(op, name string) error {
					if strings.HasSuffix(name, ".tar.zst") {
						return errors.New("503 SlowDown")
					}
					return nil
				}
			}, "fetch", "503 SlowDown", false,
		},
		"changed artifact": {
			func(f *fixture) {
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
			func(f *fixture) { f.store.before = func(op, name string) error { mayPanic(op, name); return nil } },
			"manifest", "panic: no memory", false,
		},
		"parameters": {func(f *fixture) { f.options.Parameters = parameters(nil) }, "environment", "AccessDeniedException", true},
		"bad name":   {func(f *fixture) { f.options.Parameters = parameters{"db": testSecret} }, "environment", `parameter "db"`, true},
		"hook fails": {func(f *fixture) { f.options.Config.Hooks = sh("echo no such table; exit 1") }, "hooks", "exit status 1: no such table", true},
		"hook tells the secret": {
			func(f *fixture) {
				f.options.Config.Hooks = sh(`. "$WPBAKE_ENVIRONMENT"; echo "denied: $DB_PASSWORD"; exit 1`)
			},
			"hooks", "denied: [DB_PASSWORD]", true,
		},
		"service hangs": {
			func(f *fixture) {
				f.options.Config.Hooks = nil
				f.options.Config.Services, f.options.Config.CommandTimeout = sh("sleep 60"), 100*time.Millisecond
			}, "services", "no end after 100ms", true,
		},
		"wrong release": {
			func(f *fixture) { f.page = answer(200, "/srv/wordpress/releases/0123456789ab", "wp-content") },
			"gate", "wrong release", true,
		},
		"empty body": {
			func(f *fixture) { f.page = answer(200, f.options.Manifest.Short(), "") }, "gate", "empty body", true,
		},
		"PHP": {
			func(f *fixture) {
				f.page = func(w http.ResponseWriter, r *http.Request) {
					put(f, "php.log", "old\n[23-Nov-2026 20:15:00 UTC] "+parseError+"\n")
					answer(500, f.options.Manifest.Short(), "")(w, r)
				}
			}, "gate", parseError, true,
		},
		"old PHP error": {
			func(f *fixture) {
				put(f, "php.log", "[22-Nov-2026 20:15:00 UTC] "+parseError+"\n")
				f.page = answer(500, f.options.Manifest.Short(), "")
			}, "gate", "status 500, want 200", true,
		},
		"report": {
			func(f *fixture) {
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
		"hook panics": {func(f *fixture) { f.hook.panics = Continue }, "lifecycle", "panic: out of memory", true},
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
			if c.stage == "gate" {
				f.options.Config.Gate.Timeout = 20 * gatePause // the first answer comes in time, whoever else computes
			}
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

// A boot that takes too long fails at the stage at which its time is over.
func TestBootTakesTooLong(t *testing.T) {
	t.Parallel()
	// How long it takes to get to the services depends on who else computes.
	for timeout := 4 * time.Second; timeout < 5*time.Minute; timeout *= 2 {
		f := newFixture(t)
		f.options.Config.Timeout, f.options.Config.CommandTimeout = timeout, time.Hour
		f.options.Config.Services = [][]string{{"/bin/sh", "-c", "echo waiting; sleep 3600"}}
		_, err := Boot(t.Context(), f.options)
		var failed *Failed
		if !errors.As(err, &failed) {
			t.Fatalf("got %v\n%s", err, f.console)
		}
		if failed.Stage != "services" {
			continue
		}
		if want := fmt.Sprintf("the boot took longer than %v: ", timeout); !strings.Contains(failed.Cause, want) {
			t.Errorf("got %q, want %q", failed.Cause, want)
		}
		if got := f.stored(); got.Verdict != Bad || got.Stage != failed.Stage || got.Cause != failed.Cause {
			t.Errorf("stored %+v", got)
		}
		if told := f.hook.told(); len(told) != 1 || told[0].Result != Abandon {
			t.Errorf("the hook was told %v", told)
		}
		return
	}
	t.Error("no boot came to its services")
}

// mayPanic stands for a bug below the boot.
func mayPanic(op, name string) {
	if op == "get" && strings.HasSuffix(name, "manifest.json") {
		panic("no memory")
	}
}
