package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func TestExitCodes(t *testing.T) {
	ended := func(o rollout.Outcome) error { return &endedError{rollout.Result{Outcome: o}} }
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"any failure", errors.New("disk full"), 1},
		{"refused", &rollout.Refused{Findings: []rollout.Finding{{}}}, 1},
		{"busy", &rollout.Busy{}, 1},
		{"unfinished", &rollout.Unfinished{}, 1},
		{"untouched", &rollout.FailedUntouched{}, 1},
		{"abandoned", ended(rollout.Abandoned), 1},
		{"interrupted early", &rollout.Interrupted{}, 1},
		{"usage", &usageError{err: errors.New("x")}, 2},
		{"rolled back", ended(rollout.RolledBack), 3},
		{"unproven", ended(rollout.Unproven), 4},
		{"unknown outcome", ended("else"), 4},
		{"interrupted late", &rollout.Interrupted{Touched: true}, 4},
		{"lease lost", &rollout.LeaseLost{}, 4},
		{"adrift", &rollout.Adrift{Err: errors.New("expired")}, 4},
		{"person", fmt.Errorf("wrapped: %w", &rollout.PersonNeeded{}), 4},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Every command shows how it is used on the local cloud or this machine.
func TestEveryCommandHasAnExample(t *testing.T) {
	c := &cli{App: App{Env: os.LookupEnv, Stderr: io.Discard, Now: time.Now}, overrides: map[string]string{}, flagNames: map[string]string{}}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || !cmd.Runnable() {
			return
		}
		if !strings.Contains(cmd.Example, "wpbake ") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.Short == "" {
			t.Errorf("%s has no short description", cmd.CommandPath())
		}
	}
	for _, cmd := range c.commands() {
		walk(cmd)
	}
}

func TestHintIsFoundInsideOtherErrors(t *testing.T) {
	hinted := &hintedError{err: errors.New("x"), hint: "do this"}
	silent := &hintedError{err: fmt.Errorf("%w: %w", errors.New("kind"), hinted)}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":               {errors.New("x"), ""},
		"wrapped":            {fmt.Errorf("doing: %w", hinted), "do this"},
		"one of two":         {errors.Join(errors.New("y"), hinted), "do this"},
		"below a silent one": {silent, "do this"},
		"outermost":          {&hintedError{err: hinted, hint: "do that"}, "do that"},
		"full disk":          {fmt.Errorf("writing: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), "free some space; TMPDIR names another disk for scratch files"},
		"by meaning":         {fmt.Errorf("asking: %w", rollout.ErrNoGroup), "--group NAME; aws autoscaling describe-auto-scaling-groups lists them"},
	} {
		if got := hintOf(tt.err); got != tt.want {
			t.Errorf("%s: hint %q, want %q", name, got, tt.want)
		}
	}
}

func TestInterruption(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	failed := errors.New("disk full")
	adrift := &rollout.Adrift{Err: context.Canceled}
	for name, tt := range map[string]struct {
		ctx       context.Context
		err, want error
	}{
		"met by a call":       {ended, fmt.Errorf("listing: %w", context.Canceled), errInterrupted},
		"after another cause": {ended, failed, failed},
		"under way":           {ended, adrift, adrift},
		"done all the same":   {ended, nil, nil},
		"not a signal":        {t.Context(), context.Canceled, context.Canceled},
	} {
		if got := interruption(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain – ünï 日本": "plain – ünï 日本",
		"a\x1b[2Jb":      `a\x1b[2Jb`,
		"two\nlines":     `two\nlines`,
		"tab\tbed":       "tab bed",
		"\u202eevil":     `\u202eevil`,
		"c1 \u009b31m":   `c1 \u009b31m`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseStore(t *testing.T) {
	for in, want := range map[string]storeURL{
		"s3://releases":            {bucket: "releases"},
		"s3://releases/":           {bucket: "releases"},
		"s3://releases/shop":       {bucket: "releases", prefix: "shop"},
		"s3://releases/a/b/":       {bucket: "releases", prefix: "a/b"},
		"s3://my.bucket-1/shop":    {bucket: "my.bucket-1", prefix: "shop"},
		"dir:///srv/store":         {dir: "/srv/store"},
		"dir:///srv/../srv/store/": {dir: "/srv/store"},
	} {
		if got, err := parseStore(in); err != nil || got != want {
			t.Errorf("parseStore(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "releases", "/srv/store", "s3://", "s3:///shop", "s3://Releases", "s3://ab", "s3://a..b/c",
		"s3://releases/a//b", "s3://releases/../x", "dir://srv/store", "dir://", "http://x/y",
		"s3://arn:aws:s3:::bucket/x",
	} {
		var u *usageError
		if got, err := parseStore(in); !errors.As(err, &u) {
			t.Errorf("parseStore(%q) = %+v, %v; want a usage error", in, got, err)
		}
	}
}

func TestShellWord(t *testing.T) {
	for _, s := range []string{"", "plain", "http://127.0.0.1:4599", "a b", "it's", "$(id)", "a\nb", `"x"\`} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+shellWord(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("shellWord(%q) reads as %q, %v", s, out, err)
		}
	}
}

// A holder is known to be dead only when its process was seen in this very
// place.
func TestAlive(t *testing.T) {
	c := &cli{App: App{Env: func(string) (string, bool) { return "", false }}}
	me := c.holder()
	if me.Host == "" && runtime.GOOS != "linux" {
		t.Skip("this system does not tell processes apart")
	}
	if !alive(me) {
		t.Error("this process counts as dead")
	}
	child := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	other := me
	other.PID, other.Started = child.Process.Pid, procStarted(child.Process.Pid)
	if !alive(other) {
		t.Error("a running process counts as dead")
	}
	child.Process.Kill()
	child.Wait()
	if alive(other) {
		t.Error("a process that ended counts as alive")
	}
	far := other
	far.Host = "elsewhere"
	if !alive(far) {
		t.Error("a process of another machine counts as dead")
	}
}

func TestJobLink(t *testing.T) {
	env := map[string]string{"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "shop/site"}
	c := &cli{App: App{Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}}
	if got, want := c.jobLink(), "https://github.example/shop/site/actions/runs/7"; got != want {
		t.Errorf("job link %q, want %q", got, want)
	}
}

// Programs read how a command ended from the last line of stdout.
func TestReportIsJSONOnTheLastLine(t *testing.T) {
	var out, errs strings.Builder
	c := &cli{App: App{Args: []string{"x", "--json"}, Stdout: &out, Stderr: &errs}}
	if got := c.report(&rollout.Interrupted{Run: "r", Touched: true}); got != exitPerson {
		t.Errorf("exit code %d", got)
	}
	if !strings.HasPrefix(out.String(), `{"error":"stopped watching run r`) || !strings.Contains(out.String(), `"exit":4}`) {
		t.Errorf("stdout %q", out.String())
	}
	if !strings.Contains(errs.String(), "wpbake: hint: wpbake watch") {
		t.Errorf("stderr %q", errs.String())
	}
}
