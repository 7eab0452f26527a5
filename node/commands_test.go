package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRunCommands(t *testing.T) {
	dir := t.TempDir()
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for name, c := range map[string]struct {
		commands [][]string
		want     string
	}{
		"good":       {[][]string{sh("exit 0"), {"true"}}, ""},
		"output":     {[][]string{sh("seq 1 9; echo broken >&2; exit 3")}, "exit status 3: 6 | 7 | 8 | 9 | broken"},
		"silent":     {[][]string{{"false"}}, `running "false": exit status 1`},
		"no program": {[][]string{{"/nowhere/at/all"}}, "no such file"},
		"first ends": {[][]string{{"false"}, sh("touch " + dir + "/ran")}, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := commands{list: c.commands, timeout: time.Minute}.run(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a command ran after one that failed")
	}
}

// A command that does not end is killed with its children, and what it said is
// told.
func TestRunCommandTimesOut(t *testing.T) {
	t.Parallel()
	// How long a shell takes to say something depends on who else computes.
	for timeout := 200 * time.Millisecond; timeout < time.Minute; timeout *= 2 {
		begun := time.Now()
		err := commands{list: [][]string{{"/bin/sh", "-c", "echo waiting; sleep 300 & wait"}}, timeout: timeout}.run(t.Context())
		if want := fmt.Sprintf("no end after %v", timeout); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q", err, want)
		}
		if time.Since(begun) > 4*time.Minute {
			t.Fatal("waited for a child")
		}
		if strings.HasSuffix(err.Error(), ": waiting") {
			return
		}
	}
	t.Error("nothing of what the command said is told")
}

// A service command may leave a daemon behind that keeps its output open.
func TestRunCommandLeavesDaemons(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := commands{timeout: time.Minute}
	err := c.one(t.Context(), []string{"/bin/sh", "-c", "sleep 60 & echo $! >" + dir + "/pid"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.one(t.Context(), []string{"/bin/sh", "-c", "kill $(cat " + dir + "/pid)"}); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
}

func TestRunCommandTellsAndIsInterrupted(t *testing.T) {
	c := commands{timeout: time.Minute, variables: []string{"WPBAKE_VERSION=v42"}}
	if err := c.one(t.Context(), []string{"/bin/sh", "-c", `[ "$WPBAKE_VERSION" = v42 ] && [ -n "$PATH" ]`}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := c.one(ctx, []string{"sleep", "60"})
	if err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("got %v", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var out tail
	for _, p := range []string{strings.Repeat("a", 3*outputBytes), "b", strings.Repeat("c", outputBytes-2)} {
		if n, err := out.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := out.String(); got != "ab"+strings.Repeat("c", outputBytes-2) {
		t.Errorf("%d bytes beginning %q", len(got), got[:4])
	}
}
