package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/internal/tier"
)

// crashEnv makes this test binary a node that boots and, at one place, stands
// still for its killer.
const crashEnv = "WPBAKE_NODE_CRASH"

// crash is what a node that will be killed is told.
type crash struct {
	Store    string
	Config   Config
	Version  artifact.Version
	Manifest artifact.Digest
	At       string // a stage after which to stand still, or an operation of the store
}

func TestMain(m *testing.M) {
	if told := os.Getenv(crashEnv); told != "" {
		bootAndStandStill(told)
	}
	os.Exit(m.Run())
}

func bootAndStandStill(told string) {
	var c crash
	if err := json.Unmarshal([]byte(told), &c); err != nil {
		panic(err)
	}
	store, err := dirstore.New(c.Store)
	if err != nil {
		panic(err)
	}
	still := func(at string) {
		if at == c.At {
			os.Stdout.WriteString("still\n")
			select {}
		}
	}
	log := &console{on: func(line string) { still(strings.Fields(line)[1]) }}
	watched := &watchedStore{Store: store, before: func(op, name string) error {
		still(op + " " + filepath.Ext(name))
		return nil
	}}
	_, err = Boot(context.Background(), Options{
		Store: watched, Config: c.Config, Version: c.Version, Manifest: c.Manifest, Group: "shop", Run: testRun,
		Hook: "wpbake-boot", Metadata: metadata{id: "i-0123456789abcdef0"}, Lifecycle: &hook{},
		Parameters: parameters{"DB_PASSWORD": testSecret}, Log: log,
	})
	panic(errors.Join(errors.New("nobody killed this node"), err))
}

// kill boots in another process and kills it at a place.
func (f *fixture) kill(at string) {
	f.t.Helper()
	told, err := json.Marshal(crash{
		Store: filepath.Join(f.dir, "store"), Config: f.options.Config,
		Version: f.options.Version, Manifest: f.options.Manifest, At: at,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+string(told))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "still\n" {
		f.t.Errorf("the node said %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		f.t.Error(err)
	}
	_ = cmd.Wait()
}

// wholeTrees fails unless every release on disk is complete and current points
// to one of the wanted.
func (f *fixture) wholeTrees(want ...string) {
	f.t.Helper()
	if !slices.Contains(want, f.current()) {
		f.t.Errorf("current is %q, want one of %q", f.current(), want)
	}
	releases := filepath.Join(f.options.Config.Root, "releases")
	if _, err := os.Stat(releases); errors.Is(err, os.ErrNotExist) {
		return
	}
	for _, name := range names(f.t, releases) {
		if strings.Contains(name, ".") {
			continue
		}
		for _, file := range []string{"index.php", "wp-login.php", "wp-content/page.html"} {
			if _, err := os.Stat(filepath.Join(releases, name, "wordpress", file)); err != nil {
				f.t.Errorf("half a tree: %v", err)
			}
		}
	}
}

func places() []string {
	return []string{
		"identity", "lock", "manifest", "get .zst", "fetch", "switch", "environment", "hooks", "services", "warm", "gate",
		"put .json", "report", "lifecycle",
	}
}

// A node killed anywhere has the old tree, the new tree or none, and the next
// boot is a good one.
func TestKilledAnywhere(t *testing.T) {
	tier.Test(t)
	for _, at := range places() {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.kill(at)
			f.wholeTrees("", f.options.Manifest.Short())
			f.boot()
			f.wholeTrees(f.options.Manifest.Short())

			old := f.options.Manifest.Short()
			d := f.release("v43").Short()
			f.kill(at)
			f.wholeTrees(old, d)
			f.hook.completions = nil
			f.boot()
			f.wholeTrees(d)
			want := []string{old, d}
			slices.Sort(want)
			if diff := cmp.Diff(want, names(t, filepath.Join(f.options.Config.Root, "releases"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An interrupt anywhere is a bad boot that says so.
func TestInterruptedAnywhere(t *testing.T) {
	for _, at := range places() {
		if at == "lifecycle" { // after CONTINUE nothing is left to interrupt
			continue
		}
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			old := f.options.Manifest.Short()
			f.boot()
			f.hook.completions, f.hook.calls = nil, 0
			d := f.release("v43").Short()

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.console.on = func(line string) {
				if strings.Fields(line)[1] == at {
					cancel()
				}
			}
			f.store.before = func(op, name string) error {
				if op+" "+filepath.Ext(name) == at {
					cancel()
				}
				return nil
			}
			_, err := Boot(ctx, f.options)
			var failed *Failed
			if !errors.As(err, &failed) || !errors.Is(err, context.Canceled) || !strings.HasPrefix(failed.Cause, "interrupted: ") {
				t.Fatalf("got %v", err)
			}
			if got := f.stored(); got.Verdict != Unknown || got.Cause != failed.Cause {
				t.Errorf("stored %+v", got)
			}
			if told := f.hook.told(); len(told) != 1 || told[0].Result != Abandon {
				t.Errorf("the hook was told %v", told)
			}
			f.wholeTrees(old, d)
		})
	}
}

// Two boots at once are one after the other: one download, one word to the
// hook, both good.
func TestBootsAtOnce(t *testing.T) {
	f := newFixture(t)
	results := make(chan error, 3)
	for range cap(results) {
		go func() {
			_, err := Boot(t.Context(), f.options)
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	atOnce := f.store.downloads()
	if told := f.hook.told(); len(told) != 1 || told[0].Result != Continue {
		t.Errorf("the hook was told %v", told)
	}

	alone := newFixture(t)
	alone.boot()
	if want := alone.store.downloads(); atOnce != want {
		t.Errorf("read the artifact %d times, one boot reads it %d times", atOnce, want)
	}
}

// A full disk is a bad boot that leaves no staging directory, and the old tree
// where it was.
func TestDiskFull(t *testing.T) {
	tier.Root(t)
	f := newFixture(t)
	root := f.options.Config.Root
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	f.boot()
	old := f.options.Manifest.Short()
	f.hook.completions, f.hook.calls = nil, 0
	f.release("v43")
	if err := os.WriteFile(filepath.Join(root, "fill"), make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	_, err := Boot(t.Context(), f.options)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	if got := f.stored(); got.Stage != "fetch" || !strings.Contains(got.Cause, "no space left on device") {
		t.Errorf("stored %+v", got)
	}
	if diff := cmp.Diff([]string{old}, names(t, filepath.Join(root, "releases"))); diff != "" {
		t.Error(diff)
	}
	f.wholeTrees(old)
}
