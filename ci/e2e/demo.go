package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// noRelease is what people call it that nodes have no release yet.
const noRelease = "no release"

// Demo is one telling of wpbake's main job: a real WordPress rolls through the
// group under load, and a bad release comes back by itself. It knows the story
// and what must come of each step.
type Demo struct {
	stack *Stack
	out   io.Writer
	load  *Load
	names map[string]string // releases that clients may see, by short digest
	rows  []row
}

// NewDemo is a demo on a stack that has no release yet, told to out.
func NewDemo(s *Stack, out io.Writer) *Demo {
	return &Demo{stack: s, out: out, names: map[string]string{NoRelease: noRelease}}
}

// step is one command of the story and what must come of it.
type step struct {
	say    string
	before func() error // changes the tree; may be nil
	args   []string     // of wpbake
	exit   int
	prints []string // must be in what it prints
	sees   []string // the releases that clients must meet, and no others
	serves string   // the version that every node is proven on afterwards
}

// row is a line of the closing table.
type row struct {
	name    string
	seconds float64
	tally   Tally
	seen    string
}

func (d *Demo) steps() []step {
	return []step{
		{say: "the first release: nodes that serve nothing yet are replaced one by one",
			args: []string{"release", "v1"}, sees: []string{noRelease, "v1"}, serves: "v1"},
		{say: "a theme file is edited, and released",
			before: func() error { return d.stack.Tree.EditTheme("Winter is coming.") },
			args:   []string{"release", "v2"}, sees: []string{"v1", "v2"}, serves: "v2"},
		{say: "a plugin with a parse error is added, and released",
			before: d.stack.Tree.AddBrokenPlugin,
			args:   []string{"release", "v3"}, exit: 3, sees: []string{"v2"}, serves: "v2",
			prints: []string{"PHP Parse error", BrokenPlugin, fmt.Sprintf("line %d", BrokenLine)}},
		{say: "back to the release before",
			args: []string{"rollback"}, sees: []string{"v1", "v2"}, serves: "v1"},
	}
}

// Tell prepares the group and runs the story under load, up to the first step
// that ends otherwise than it should. It leaves the group on release v1.
func (d *Demo) Tell(ctx context.Context) error {
	fmt.Fprintln(d.out, "  $ wpbake adopt --yes")
	if err := d.stack.Adopt(ctx); err != nil {
		return err
	}
	d.load = NewLoad(d.stack.Site, Pages())
	loaded, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.load.Run(loaded, Clients{Browsers: 4, Sessions: 1}, 300*time.Millisecond)
	}()
	defer func() {
		stop()
		<-done
	}()
	for i, s := range d.steps() {
		if err := d.step(ctx, i+1, s); err != nil {
			return fmt.Errorf("step %d, wpbake %s: %w", i+1, strings.Join(s.args, " "), err)
		}
	}
	return nil
}

func (d *Demo) step(ctx context.Context, number int, s step) error {
	fmt.Fprintf(d.out, "\n%d. %s\n", number, s.say)
	if s.before != nil {
		if err := s.before(); err != nil {
			return err
		}
	}
	d.load.Cut()
	begun := time.Now()
	fmt.Fprintf(d.out, "  $ wpbake %s\n", strings.Join(s.args, " "))
	printed, exit, err := d.run(ctx, s.args)
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	fmt.Fprintf(d.out, "  exit code %d\n", exit)
	proven, err := d.proven(ctx, s.serves)
	tally := d.load.Cut()
	d.rows = append(d.rows, row{
		name: fmt.Sprintf("%d wpbake %s", number, strings.Join(s.args, " ")), seconds: seconds, tally: tally, seen: d.seen(tally),
	})
	return errors.Join(err, s.judge(exit, printed), judgeLoad(tally), d.judgeReleases(s, tally), d.served(ctx, proven))
}

// run runs wpbake and shows what it prints while it does.
func (d *Demo) run(ctx context.Context, args []string) (printed string, exit int, err error) {
	cmd := d.stack.Wpbake(ctx, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var all strings.Builder
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			if line != "" {
				all.WriteString(line)
				fmt.Fprintln(d.out, pad(line))
			}
			if err != nil {
				return
			}
		}
	}()
	err = cmd.Run()
	w.Close()
	<-shown
	if ctx.Err() != nil {
		return "", 0, ctx.Err()
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		err = nil
	}
	return all.String(), cmd.ProcessState.ExitCode(), err
}

// judge compares how the command ended with how it must end.
func (s step) judge(exit int, printed string) error {
	var errs []error
	if exit != s.exit {
		errs = append(errs, fmt.Errorf("exit code %d, want %d", exit, s.exit))
	}
	for _, p := range s.prints {
		if !strings.Contains(printed, p) {
			errs = append(errs, fmt.Errorf("it does not print %q", p))
		}
	}
	return errors.Join(errs...)
}

// judgeLoad tells what clients suffered.
func judgeLoad(t Tally) error {
	if t.Requests == 0 || t.Sessions == 0 {
		return fmt.Errorf("%d requests and %d visits in a session: nothing was tested", t.Requests, t.Sessions)
	}
	if t.Failed == 0 && t.Lost == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, %d of %d sessions were lost:\n%s",
		t.Failed, t.Requests, t.Lost, t.Sessions, pad(strings.Join(t.Failures, "\n")))
}

// proven asks wpbake which release every node is proven on, and learns its
// digest.
func (d *Demo) proven(ctx context.Context, version string) (digest string, err error) {
	out, err := d.stack.Wpbake(ctx, "status", "--json").Output()
	if err != nil {
		return "", fmt.Errorf("wpbake status: %w", err)
	}
	var status struct {
		Version  string   `json:"version"`
		Manifest string   `json:"manifest"`
		Proven   bool     `json:"proven"`
		Missing  []string `json:"missing"`
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return "", fmt.Errorf("wpbake status: %w", err)
	}
	if status.Version != version || !status.Proven {
		return "", fmt.Errorf("the group is on %q, proven %t %q, want proven on %q", status.Version, status.Proven, status.Missing, version)
	}
	digest = strings.TrimPrefix(status.Manifest, "sha256:")[:12]
	d.names[digest] = version
	return digest, nil
}

// judgeReleases compares the releases that answered with those that may and
// must: a bad one never meets a client, and a roll is seen by clients.
func (d *Demo) judgeReleases(s step, t Tally) error {
	seen := map[string]bool{}
	for digest := range t.Releases {
		seen[d.name(digest)] = true
	}
	want := map[string]bool{}
	for _, name := range s.sees {
		want[name] = true
	}
	if !maps.Equal(seen, want) {
		return fmt.Errorf("clients met the releases %q, want %q", slices.Sorted(maps.Keys(seen)), s.sees)
	}
	return nil
}

// name is a release as people know it.
func (d *Demo) name(digest string) string { return cmp.Or(d.names[digest], digest) }

// served asks the site itself: each of a dozen fresh connections must be
// answered by the release.
func (d *Demo) served(ctx context.Context, digest string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for range 12 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.stack.Site, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if got := resp.Header.Get("X-Wpbake-Release"); !strings.Contains(got, digest) {
			return fmt.Errorf("the site still answers from %q, want release %s", got, digest)
		}
	}
	return nil
}

// pad indents what a program printed.
func pad(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
