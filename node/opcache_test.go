package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/internal/tier"
)

// fpm starts PHP-FPM with settings, and returns where it listens. Without one
// the test is skipped.
func fpm(t *testing.T, settings ...string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/sbin/php-fpm*")
	tier.Need(t, "php", len(found) > 0)
	dir, err := os.MkdirTemp("", "fpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, config := filepath.Join(dir, "s"), filepath.Join(dir, "fpm.conf")
	text := fmt.Sprintf("[global]\nerror_log = %s/log\n[www]\nlisten = %s\npm = static\npm.max_children = 1\n", dir, socket)
	args := []string{"-F", "-y", config}
	if os.Geteuid() == 0 {
		text += "user = root\n"
		args = append(args, "-R")
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		args = append(args, "-d", s)
	}
	cmd := exec.Command(found[len(found)-1], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children outlive it otherwise
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	for range 1200 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return "unix:" + socket
		}
		time.Sleep(50 * time.Millisecond)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("PHP-FPM does not listen: %s", b)
	return ""
}

// A good node has nothing to be told; a careless one hears what to set.
func TestOpcacheOfRealFPM(t *testing.T) {
	careless := fpm(t, "opcache.enable=1", "opcache.validate_timestamps=1", "opcache.max_accelerated_files=200", "opcache.interned_strings_buffer=8")
	good := fpm(t, "opcache.enable=1", "opcache.validate_timestamps=0", "opcache.max_accelerated_files=20000",
		"opcache.memory_consumption=128", "opcache.interned_strings_buffer=32")
	off := fpm(t, "opcache.enable=0")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address string
		want    []string
	}{
		"good": {good, nil},
		"careless": {careless, []string{
			"opcache.validate_timestamps=1: PHP looks at its files again and again, which never change; set it to 0",
			"opcache has room for 223 scripts, the release has 1354 files of PHP; set opcache.max_accelerated_files=20000",
			"opcache.interned_strings_buffer=8 is small for WordPress; set it to 32",
		}},
		"off": {off, []string{"opcache is off: PHP compiles WordPress for each request; set opcache.enable=1"}},
	} {
		o, err := askOpcache(t.Context(), c.address, dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		o.judge(1354)
		if diff := cmp.Diff(c.want, o.Problems); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !strings.HasPrefix(o.PHP, "8.") && !strings.HasPrefix(o.PHP, "7.") {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// What is in the cache is counted, and what does not fit any more.
func TestOpcacheFull(t *testing.T) {
	o := Opcache{Enabled: true, Keys: 20000, Memory: 64 << 20, Free: 2 << 20, Scripts: 900, Strings: 32 << 20}
	o.judge(1354)
	want := []string{"opcache has 2 MiB of 64 MiB left with 900 of 1354 files of PHP in it; set opcache.memory_consumption=192"}
	if diff := cmp.Diff(want, o.Problems); diff != "" {
		t.Error(diff)
	}
}

func TestFPMFails(t *testing.T) {
	address := fpm(t)
	if _, err := runByFPM(t.Context(), address, "/nowhere.php"); err == nil || !strings.Contains(err.Error(), "404 Not Found") {
		t.Errorf("a missing script: %v", err)
	}
	restricted := fpm(t, "opcache.enable=1", "opcache.restrict_api=/elsewhere")
	dir := t.TempDir()
	if _, err := askOpcache(t.Context(), restricted, dir); err == nil || !strings.Contains(err.Error(), "opcache.restrict_api") {
		t.Errorf("a restricted one: %v", err)
	}
	if _, err := askOpcache(t.Context(), "unix:"+filepath.Join(dir, "nobody"), dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody listens: %v", err)
	}
}

// Whoever listens there and is no PHP-FPM costs a bounded time and memory.
func TestFPMIsSomebodyElse(t *testing.T) {
	for name, answer := range map[string][]byte{
		"another protocol": []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"ends":             {1, fcgiStdout, 0, 1, 0xff, 0xff, 0, 0, 'x'},
		"never ends":       nil,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Write(answer)
			if answer == nil {
				for {
					if _, err := c.Write(append([]byte{1, fcgiStdout, 0, 1, 0x10, 0, 0, 0}, make([]byte, 0x1000)...)); err != nil {
						return
					}
				}
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := runByFPM(ctx, l.Addr().String(), "/x.php"); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		l.Close()
	}
}

// A boot reports what its cache looks like, and fails for nothing in it.
func TestBootReportsOpcache(t *testing.T) {
	f := newFixture(t)
	f.options.Config.PHP.FPM = fpm(t, "opcache.enable=1", "opcache.validate_timestamps=1", "opcache.interned_strings_buffer=32")
	f.boot()
	got := f.stored()
	if got.Verdict != Good || got.Opcache == nil || !got.Opcache.Validate || got.Opcache.Files != 2 || len(got.Opcache.Problems) != 1 {
		t.Fatalf("%s %+v", got.Verdict, got.Opcache)
	}
	if !strings.Contains(f.console.String(), "wpbake: opcache.validate_timestamps=1: ") {
		t.Errorf("console:\n%s", f.console)
	}
	f.options.Config.PHP.FPM = "unix:" + filepath.Join(f.dir, "nobody")
	f.hook.completions = nil
	f.boot()
	if got := f.stored(); got.Opcache != nil || !slices.ContainsFunc(got.Notes, func(s string) bool { return strings.HasPrefix(s, "opcache could not be asked: ") }) {
		t.Errorf("%+v, notes %q", got.Opcache, got.Notes)
	}
}
