package packerexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leastVersion is the first that is known to work.
const leastVersion = "1.15.0"

// askTimeout is how long Packer may take to say what it is. Red Hat's systems
// have another program of this name, which waits for input.
const askTimeout = 30 * time.Second

// Options say where Packer is. The zero value finds it on PATH with nothing in
// its environment.
type Options struct {
	Program string        // name or path; "" means "packer"
	Environ []string      // the caller's, of which Packer gets what it needs
	Grace   time.Duration // from an interrupt until the end by force; 0 waits for as long as it takes
}

// Packer is a program that was found and is new enough.
type Packer struct {
	Program string // absolute
	Version string
	environ []string
	grace   time.Duration
}

// Plugin is what a template needs.
type Plugin struct {
	Source string // such as "github.com/hashicorp/amazon"
	Least  string // version
}

// Unsuitable says that the program cannot be used, and what to do about it.
type Unsuitable struct {
	text, hint string
	err        error
}

func (e *Unsuitable) Error() string { return e.text }
func (e *Unsuitable) Unwrap() error { return e.err }

// Hint says what would help.
func (e *Unsuitable) Hint() string { return e.hint }

const installHint = "https://developer.hashicorp.com/packer/install has Packer; packer.program names one that is not on PATH"

// Find looks for Packer and asks its version.
func Find(ctx context.Context, o Options) (*Packer, error) {
	name := cmp.Or(o.Program, "packer")
	found, err := lookPath(name, o.Environ)
	if err != nil {
		return nil, &Unsuitable{text: fmt.Sprintf("finding packer %q: %v", name, err), hint: installHint, err: err}
	}
	p := &Packer{Program: found, environ: scrub(o.Environ), grace: o.Grace}
	events, err := p.ask(ctx, "version")
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range events {
		if e.Type == "version" && len(e.Data) > 0 {
			p.Version = e.Data[0]
		}
	}
	switch {
	case p.Version == "":
		text := fmt.Sprintf("%q is no Packer of HashiCorp's: it tells no version", found)
		if err != nil {
			text += ": " + cut(err.Error())
		}
		return nil, &Unsuitable{text: text, hint: installHint, err: err}
	case older(p.Version, leastVersion):
		return nil, &Unsuitable{text: fmt.Sprintf("%q is Packer %s, want %s or later", found, p.Version, leastVersion), hint: installHint}
	}
	return p, nil
}

// lookPath is exec.LookPath by the PATH of environ, which is not always this
// process's own.
func lookPath(name string, environ []string) (string, error) {
	if filepath.Base(name) != name {
		found, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		return filepath.Abs(found)
	}
	for _, one := range environ {
		path, ok := strings.CutPrefix(one, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if !filepath.IsAbs(dir) {
				continue // what lies in the working directory is nobody's choice
			}
			if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return found, nil
			}
		}
	}
	return "", exec.ErrNotFound
}

// Require checks that the plugins are installed.
func (p *Packer) Require(ctx context.Context, plugins ...Plugin) error {
	events, err := p.ask(ctx, "plugins", "installed")
	if err != nil {
		return fmt.Errorf("asking packer for its plugins: %w", err)
	}
	have := map[string]string{}
	for _, e := range events {
		text, isError, ok := e.Said()
		if !ok || isError {
			continue
		}
		if source, version, ok := installed(strings.TrimSpace(text)); ok && older(cmp.Or(have[source], "0"), version) {
			have[source] = version
		}
	}
	for _, want := range plugins {
		version, ok := have[want.Source]
		switch {
		case !ok:
			return &Unsuitable{text: fmt.Sprintf("packer has no plugin %s", want.Source), hint: want.install()}
		case older(version, want.Least):
			return &Unsuitable{text: fmt.Sprintf("packer's plugin %s is %s, want %s or later", want.Source, version, want.Least), hint: want.install()}
		}
	}
	return nil
}

func (p Plugin) install() string {
	if p.Source == "github.com/wpbake/wpbake" {
		return "packer plugins install --path packer-plugin-wpbake " + p.Source
	}
	return "packer plugins install " + p.Source + " " + p.Least
}

var pluginFile = regexp.MustCompile(`^packer-plugin-.+_v([0-9]+\.[0-9]+\.[0-9]+)[^_]*_x[0-9.]+_`)

// installed reads the path of a plugin: .../SOURCE/packer-plugin-NAME_vVERSION_x5.0_linux_amd64.
func installed(path string) (source, version string, ok bool) {
	m := pluginFile.FindStringSubmatch(filepath.Base(path))
	parts := strings.Split(filepath.ToSlash(filepath.Dir(path)), "/")
	if m == nil || len(parts) < 3 {
		return "", "", false
	}
	return strings.Join(parts[len(parts)-3:], "/"), m[1], true
}

// ask runs a command that answers at once.
func (p *Packer) ask(ctx context.Context, words ...string) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Program, append([]string{"-machine-readable"}, words...)...)
	cmd.Env = p.environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var events []Event
	for line := range strings.Lines(out.String()) {
		if e, err := ParseEvent(strings.TrimSuffix(line, "\n")); err == nil {
			events = append(events, e)
		}
	}
	if err != nil && said.Len() > 0 {
		err = errors.Join(err, errors.New(cut(newSecrets(secretsOf(p.environ)).clean(said.String()))))
	}
	return events, err
}

// older compares versions of three numbers; what follows a dash makes one
// older than none, as Packer has it, and is not told apart further.
func older(a, b string) bool {
	numbersA, preA := numbers(a)
	numbersB, preB := numbers(b)
	for i := range numbersA {
		if numbersA[i] != numbersB[i] {
			return numbersA[i] < numbersB[i]
		}
	}
	return preA && !preB
}

func numbers(version string) (found [3]int, pre bool) {
	version, _, _ = strings.Cut(version, "+")
	plain, _, pre := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	for i, part := range strings.SplitN(plain, ".", 3) {
		found[i], _ = strconv.Atoi(part)
	}
	return found, pre
}
