package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/wpbake/wpbake/internal/cli"
)

// localState is what the running local cloud leaves in its directory for other
// commands. Whether it still runs is asked of it, never read from here.
type localState struct {
	PID     int               `json:"pid,omitempty"`
	URL     string            `json:"url,omitempty"`
	Environ map[string]string `json:"environ,omitempty"`
}

// localPlace is the directory that a local cloud keeps its state in.
type localPlace struct {
	dir   string
	usual string // where it is unless told otherwise
}

func usualPlace(env func(name string) (value string, set bool)) string {
	if state, _ := env("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "wpbake", "local")
	}
	if home, _ := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "wpbake", "local")
	}
	return ""
}

// command is a command line about this local cloud, wherever it is.
func (p localPlace) command(words ...string) string {
	line := "wpbake local " + strings.Join(words, " ")
	if p.dir != p.usual {
		line += " --dir " + shellWord(p.dir)
	}
	return line
}

func (p localPlace) stateFile() string { return filepath.Join(p.dir, "local.json") }
func (p localPlace) logFile() string   { return filepath.Join(p.dir, "local.log") }

func (p localPlace) write(s localState) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := p.stateFile() + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	return os.Rename(temp, p.stateFile())
}

var errLocalRuns = errors.New("the local cloud already runs")

// lock is held by the local cloud as long as it lives, however it ends.
func (p localPlace) lock() (*os.File, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(p.dir, "local.lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w with state in %s", errLocalRuns, p.dir)
		}
		return nil, fmt.Errorf("locking %s: %w", p.dir, err)
	}
	return f, nil
}

// running returns the local cloud that answers, or nil.
func (p localPlace) running(ctx context.Context) (*localState, error) {
	data, err := os.ReadFile(p.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cli.Hinted(fmt.Errorf("looking for the local cloud: %w", err), "--dir DIR names a directory of this user")
	}
	var s localState
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("looking for the local cloud: reading %s: %w", p.stateFile(), err)
	}
	status, _, err := s.status(ctx)
	if err != nil || status.PID != s.PID {
		return nil, nil
	}
	return &s, nil
}

// needRunning is running for commands that cannot do without.
func (p localPlace) needRunning(ctx context.Context) (*localState, error) {
	s, err := p.running(ctx)
	if err == nil && s == nil {
		err = cli.Hinted(errors.New("the local cloud does not run"), p.command("start"))
	}
	return s, err
}

// spawn runs this program again, in its own process group and without this
// terminal. The channel is closed when it ends.
func (p localPlace) spawn(o localOptions) (died <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	defer log.Close()
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	cmd := exec.Command(self, "local", "start", "--foreground", "--dir", dir, "--port", strconv.Itoa(o.port),
		"--speed", strconv.FormatFloat(o.speed, 'g', -1, 64), "--runner", o.runner)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		cmd.Wait()
		close(gone)
	}()
	return gone, nil
}

// lastWords is the error that the detached local cloud ended with, and its
// hint.
func (p localPlace) lastWords() error {
	log, _ := os.ReadFile(p.logFile())
	text, hint := "it ended at once", "the log is "+p.logFile()
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "wpbake: error: "); ok {
			text = strings.TrimPrefix(said, "starting the local cloud: ")
		}
		if said, ok := strings.CutPrefix(line, "wpbake: hint: "); ok {
			hint = said
		}
	}
	return cli.Hinted(errors.New("starting the local cloud: "+text), hint)
}

// shellWord quotes a value for a POSIX shell when it needs it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:/@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
