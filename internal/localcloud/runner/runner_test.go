//go:build linux

package runner_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
	"github.com/wpbake/wpbake/internal/tier"
)

// TestMain makes the test binary a daemon when a machine's user data runs it,
// and a local cloud that gets killed.
func TestMain(m *testing.M) {
	switch os.Getenv("RUNNER_TEST") {
	case "serve":
		serve(os.Getenv("RUNNER_TEST_ADDRESS"))
	case "cloud":
		cloud()
	default:
		os.Exit(m.Run())
	}
}

// serve answers with the content of /etc/greeting below its root.
func serve(address string) {
	file := os.Getenv("RUNNER_TEST_FILE")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body, err := os.ReadFile(file)
		if err != nil {
			body = []byte(err.Error())
		}
		_, _ = w.Write(body)
	})
	fmt.Println(http.ListenAndServe(address, handler))
	os.Exit(1)
}

// cloud starts a machine, says so and hangs.
func cloud() {
	r, err := runner.New(runner.Options{Kind: os.Getenv("RUNNER_TEST_KIND"), Path: []string{binDir()}})
	if err == nil {
		_, err = r.Start(context.Background(), ec2.Machine{
			ID: "i-cloud", Address: "127.77.9.9", Dir: os.Getenv("RUNNER_TEST_DIR"), UserData: []byte(daemonScript("orphan")),
		})
	}
	fmt.Println(err)
	if err != nil {
		os.Exit(1)
	}
	select {}
}

func binDir() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return filepath.Dir(path)
}

// daemonScript is user data that greets on port 8080 of the machine's address,
// from a daemon that did what daemons do: it left the session, closed its
// output and has nothing of the environment.
func daemonScript(greeting string) string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`#!/bin/sh
set -eu
mkdir -p "$INSTANCE_ROOT/etc"
echo "%s of $INSTANCE_ID" >"$INSTANCE_ROOT/etc/greeting"
setsid env -i RUNNER_TEST=serve RUNNER_TEST_ADDRESS="$INSTANCE_ADDRESS:8080" \
	RUNNER_TEST_FILE="$INSTANCE_ROOT/etc/greeting" "$(command -v %s)" >/dev/null 2>&1 </dev/null &
echo "greeting started in $PWD"
`, greeting, filepath.Base(path))
}

// eachKind runs a test with both kinds of machine.
func eachKind(t *testing.T, test func(t *testing.T, r *runner.Runner)) {
	t.Helper()
	tier.Test(t)
	for _, kind := range []string{runner.Overlay, runner.Plain} {
		t.Run(kind, func(t *testing.T) {
			tier.Need(t, "root", kind == runner.Plain || os.Geteuid() == 0)
			r, err := runner.New(runner.Options{Kind: kind, Path: []string{binDir()}, Grace: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind() != kind {
				t.Fatalf("kind = %s", r.Kind())
			}
			test(t, r)
		})
	}
}

// start starts a machine that is gone at the end of the test.
func start(t *testing.T, r *runner.Runner, m ec2.Machine) ec2.Process {
	t.Helper()
	if m.Dir == "" {
		m.Dir = t.TempDir()
	}
	p, err := r.Start(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// eventually waits for a state.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if reached() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

func ask(address string) string {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + ":8080/")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body))
}

func refuses(address string) bool {
	conn, err := net.DialTimeout("tcp", address+":8080", time.Second)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

// mounts are the host's mounts that have text in them.
func mounts(t *testing.T, text string) (found []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestTwoMachines(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		dir := t.TempDir()
		one := ec2.Machine{ID: "i-one", Address: "127.77.0.1", Dir: filepath.Join(dir, "one"), UserData: []byte(daemonScript("one"))}
		two := ec2.Machine{ID: "i-two", Address: "127.77.0.2", Dir: filepath.Join(dir, "two"), UserData: []byte(daemonScript("two"))}
		first, second := start(t, r, one), start(t, r, two)
		for _, m := range []ec2.Machine{one, two} {
			want := strings.TrimPrefix(m.ID, "i-") + " of " + m.ID
			eventually(t, want, func() bool { return ask(m.Address) == want })
		}
		if _, err := os.Stat("/etc/greeting"); err == nil {
			t.Error("a machine wrote on the host's disk")
		}
		eventually(t, "the console", func() bool { return strings.Contains(string(first.Console()), "greeting started in /") })
		if found := mounts(t, dir); len(found) > 0 {
			t.Errorf("the host sees mounts: %q", found)
		}
		for i, end := range []func() error{func() error { return first.Stop(t.Context()) }, second.Kill} {
			if err := end(); err != nil {
				t.Error(err)
			}
			<-[]ec2.Process{first, second}[i].Done()
			if !refuses([]string{one.Address, two.Address}[i]) {
				t.Errorf("machine %d still answers", i+1)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the machines' directories: %v", err)
		}
	})
}

func TestParts(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-parts", Address: "127.77.0.3", UserData: []byte(`MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=="

--==
Content-Type: text/cloud-config

packages: [nginx]
--==
Content-Type: text/x-shellscript
Content-Disposition: attachment; filename="../first.sh"

#!/bin/sh
echo "first in $0"; exit 3
--==
Content-Type: text/x-shellscript

#!/bin/sh
echo "second, as $INSTANCE_ID at $INSTANCE_ADDRESS with $EXTRA, $HOME and ${AWS_ACCESS_KEY_ID-no key}"
--==--
`), Environ: []string{"EXTRA=more"}})
		eventually(t, "the second part", func() bool { return strings.Contains(string(p.Console()), "second") })
		for _, want := range []string{
			"text/cloud-config is not executed", "/var/lib/cloud/instance/scripts/part-001-first.sh\n",
			"part-001-first.sh [3]\n", "second, as i-parts at 127.77.0.3 with more, /", "no key",
		} {
			if !strings.Contains(string(p.Console()), want) {
				t.Errorf("console lacks %q:\n%s", want, p.Console())
			}
		}
	})
}

func TestStopGivesTime(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-stop", Address: "127.77.0.4", UserData: []byte(`#!/bin/sh
(
	trap 'echo finishing; sleep 0.2; echo finished; exit' TERM
	echo ready
	while :; do sleep 0.05; done
) &
`)})
		eventually(t, "readiness", func() bool { return strings.Contains(string(p.Console()), "ready") })
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(p.Console()), "finished") {
			t.Errorf("console: %s", p.Console())
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("stopping again: %v", err)
		}
	})
}

func TestStopInTheMiddleOfUserData(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-middle", Address: "127.77.0.5", UserData: []byte(`Content-Type: multipart/mixed; boundary="=="

--==
Content-Type: text/x-shellscript

#!/bin/sh
trap 'echo stubborn' TERM
echo ready
while :; do sleep 0.05; done
--==
Content-Type: text/x-shellscript

#!/bin/sh
echo second
--==--
`)})
		eventually(t, "readiness", func() bool { return strings.Contains(string(p.Console()), "ready") })
		ctx, kill := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(ctx) }()
		eventually(t, "a script that does not stop", func() bool { return strings.Contains(string(p.Console()), "stubborn") })
		kill()
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if text := string(p.Console()); !strings.Contains(text, "stubborn") || strings.Contains(text, "second") {
			t.Errorf("console: %s", text)
		}
	})
}

func TestConsoleKeepsTheEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-long", Address: "127.77.0.6", UserData: []byte("#!/bin/sh\nseq 1 100000\necho the end\n")})
		eventually(t, "the end", func() bool { return strings.HasSuffix(string(p.Console()), "\n100000\nthe end\n") })
		if n := len(p.Console()); n != 64<<10 {
			t.Errorf("console has %d bytes", n)
		}
	})
}

func TestRestartOnTheSameDisk(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		m := ec2.Machine{ID: "i-again", Address: "127.77.0.7", Dir: t.TempDir(), UserData: []byte(`#!/bin/sh
echo boot >>"$INSTANCE_ROOT/etc/boots"
echo "boots: $(wc -l <"$INSTANCE_ROOT/etc/boots")"
`)}
		for boot := range 3 {
			p := start(t, r, m)
			want := "boots: " + strconv.Itoa(boot+1)
			eventually(t, want, func() bool { return strings.Contains(string(p.Console()), want) })
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNoZombies(t *testing.T) {
	tier.Need(t, "root", os.Geteuid() == 0)
	r, err := runner.New(runner.Options{Kind: runner.Overlay})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, r, ec2.Machine{ID: "i-zombie", Address: "127.77.0.8", UserData: []byte(`#!/bin/sh
for i in 1 2 3 4 5; do setsid sh -c 'sleep 0.1 & exit' & done
wait
(
	while cat /proc/[0-9]*/stat 2>/dev/null | grep -q ') Z '; do sleep 0.05; done
	sleep 0.3 # by now the orphans have ended
	while cat /proc/[0-9]*/stat 2>/dev/null | grep -q ') Z '; do sleep 0.05; done
	echo clean
) &
`)})
	eventually(t, "no zombies", func() bool { return strings.Contains(string(p.Console()), "clean") })
}

func TestBadStart(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "upper"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "root"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Start(t.Context(), ec2.Machine{ID: "i-bad", Address: "127.77.0.9", Dir: dir}); err == nil || !strings.HasPrefix(err.Error(), `starting machine "i-bad": `) {
			t.Errorf("starting without a disk: %v", err)
		}
		if _, err := r.Start(t.Context(), ec2.Machine{ID: "i-bad", Dir: t.TempDir(), UserData: []byte("\x1f\x8bnonsense")}); err == nil {
			t.Error("nonsense was taken for user data")
		}
	})
}

func TestMachineWithoutDirectory(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		t.Setenv("TMPDIR", t.TempDir())
		p, err := r.Start(t.Context(), ec2.Machine{ID: "i-nowhere", Address: "127.77.0.10", UserData: []byte("#!/bin/sh\necho up\n")})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the machine", func() bool { return strings.Contains(string(p.Console()), "up") })
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestKilledCloud kills the whole local cloud with signal 9. An overlay
// machine goes with it; a plain one's daemons go when it is started again.
func TestKilledCloud(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		dir := t.TempDir()
		cmd := exec.Command(filepath.Join(binDir(), filepath.Base(os.Args[0])))
		cmd.Env = append(os.Environ(), "RUNNER_TEST=cloud", "RUNNER_TEST_KIND="+r.Kind(), "RUNNER_TEST_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		const address = "127.77.9.9"
		eventually(t, "the machine", func() bool { return ask(address) == "orphan of i-cloud" })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if r.Kind() == runner.Overlay {
			eventually(t, "its end", func() bool { return refuses(address) })
			return
		}
		start(t, r, ec2.Machine{ID: "i-cloud", Address: address, Dir: dir, UserData: []byte("#!/bin/sh\n")})
		if !refuses(address) {
			t.Error("the daemon of the killed cloud lives on")
		}
	})
}

func TestOptions(t *testing.T) {
	for _, opts := range []runner.Options{{Kind: "docker"}, {Path: []string{"bin"}}} {
		if _, err := runner.New(opts); err == nil {
			t.Errorf("New(%+v) takes them", opts)
		}
	}
}
