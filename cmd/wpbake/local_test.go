package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/cli"
)

func TestShellWord(t *testing.T) {
	for _, s := range []string{"", "plain", "http://127.0.0.1:4599", "a b", "it's", "$(id)", "a\nb", `"x"\`} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+shellWord(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("shellWord(%q) reads as %q, %v", s, out, err)
		}
	}
}

func TestLocalPlace(t *testing.T) {
	env := func(values map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	}
	for want, values := range map[string]map[string]string{
		"/state/wpbake/local":                 {"XDG_STATE_HOME": "/state", "HOME": "/home/ada"},
		"/home/ada/.local/state/wpbake/local": {"XDG_STATE_HOME": "state", "HOME": "/home/ada"},
		"":                                    {},
	} {
		if got := usualPlace(env(values)); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
	usual, other := localPlace{dir: "/a", usual: "/a"}, localPlace{dir: "/a b", usual: "/a"}
	if got := usual.command("stop"); got != "wpbake local stop" {
		t.Errorf("command %q", got)
	}
	if got := other.command("stop"); got != "wpbake local stop --dir '/a b'" {
		t.Errorf("command %q", got)
	}
}

// What the detached process complained about is the error of who started it.
func TestLastWords(t *testing.T) {
	p := localPlace{dir: t.TempDir()}
	err := p.lastWords()
	if err.Error() != "starting the local cloud: it ended at once" || !strings.HasPrefix(cli.HintOf(err), "the log is "+p.dir) {
		t.Errorf("without a log: %v, %s", err, cli.HintOf(err))
	}
	log := "level=INFO msg=x\nwpbake: error: starting the local cloud: port 1 is taken\nwpbake: hint: --port 0\n"
	if err := os.WriteFile(p.logFile(), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.lastWords(); err.Error() != "starting the local cloud: port 1 is taken" || cli.HintOf(err) != "--port 0" {
		t.Errorf("with a log: %v, %s", err, cli.HintOf(err))
	}
}

// A state that was left behind names a process that may be somebody else's now.
func TestLocalCloudRunsOnlyIfItAnswersItself(t *testing.T) {
	pid := 7
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"pid":%d}`, pid) }))
	defer answers.Close()
	p := localPlace{dir: t.TempDir()}
	if s, err := p.running(t.Context()); s != nil || err != nil {
		t.Errorf("without a state: %+v, %v", s, err)
	}
	if err := p.write(localState{PID: 7, URL: answers.URL, Environ: map[string]string{"AWS_ENDPOINT_URL": answers.URL}}); err != nil {
		t.Fatal(err)
	}
	if s, err := p.running(t.Context()); err != nil || s == nil || s.PID != 7 {
		t.Errorf("it answers: %+v, %v", s, err)
	}
	pid = 8
	if s, err := p.running(t.Context()); s != nil || err != nil {
		t.Errorf("another process answers: %+v, %v", s, err)
	}
	if _, err := p.needRunning(t.Context()); cli.HintOf(err) != "wpbake local start --dir "+p.dir {
		t.Errorf("needed: %v, hint %q", err, cli.HintOf(err))
	}
}

func TestLocalLockIsHeldOnce(t *testing.T) {
	p := localPlace{dir: filepath.Join(t.TempDir(), "new")}
	held, err := p.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.lock(); !errors.Is(err, errLocalRuns) {
		t.Errorf("a second one: %v", err)
	}
	held.Close()
	again, err := p.lock()
	if err != nil {
		t.Fatalf("after the first one: %v", err)
	}
	again.Close()
}

func TestLocalOptions(t *testing.T) {
	good := localOptions{port: localPort, speed: 1}
	if err := good.validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []localOptions{
		{port: -1, speed: 1}, {port: 65536, speed: 1}, {speed: 0}, {speed: 1001}, {speed: math.NaN()}, {speed: 1, runner: "docker"},
	} {
		if err := bad.validate(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestSayLocalStatus(t *testing.T) {
	var st localStatus
	text := `{"groups":[{"name":"shop","desired":2,"min":1,"max":4,"nodes":[{"id":"i-1","lifecycle":"InService","health":"Healthy","template":"1"},{"id":"i-2","lifecycle":"Pending"}]}],
		"instances":[{"id":"i-1","state":"running","address":"127.0.0.2","zone":"a"}],"faults":[{"kind":"alarm","target":"errors"}],
		"load_balancers":[{"name":"lb","urls":["http://127.0.0.1:8080"]}]}`
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		t.Fatal(err)
	}
	out, got := recorder()
	sayLocalStatus(out, st)
	want := `load balancer lb at http://127.0.0.1:8080
fault alarm errors
group shop: 2 desired of 1 to 4, template -
GROUP  NODE  STATE      HEALTH   TEMPLATE  INSTANCE  ADDRESS    ZONE
shop   i-1   InService  Healthy  1         running   127.0.0.2  a
shop   i-2   Pending    -        -         -         -          -
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
