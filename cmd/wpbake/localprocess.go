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
	"time"

	"github.com/spf13/cobra"
	"github.com/wpbake/wpbake/internal/cli"
)

// localState is what the running local cloud leaves in its directory for other
// commands. Whether it still runs is asked of it, never read from here.
type localState struct {
	PID     int               `json:"pid,omitempty"`
	URL     string            `json:"url,omitempty"`
	Environ map[string]string `json:"environ,omitempty"`
}

func (l *local) stateFile() string { return filepath.Join(l.dir, "local.json") }
func (l *local) logFile() string   { return filepath.Join(l.dir, "local.log") }

func (l *local) writeState(s localState) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := l.stateFile() + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	return os.Rename(temp, l.stateFile())
}

var errLocalRuns = errors.New("the local cloud already runs")

// lock is held by the local cloud as long as it lives, however it ends.
func (l *local) lock() (*os.File, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(l.dir, "local.lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w with state in %s", errLocalRuns, l.dir)
		}
		return nil, fmt.Errorf("locking %s: %w", l.dir, err)
	}
	return f, nil
}

// running returns the local cloud that answers, or nil.
func (l *local) running(ctx context.Context) (*localState, error) {
	data, err := os.ReadFile(l.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cli.Hinted(fmt.Errorf("looking for the local cloud: %w", err), "--dir DIR names a directory of this user")
	}
	var s localState
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("looking for the local cloud: reading %s: %w", l.stateFile(), err)
	}
	status, err := l.ask(ctx, s)
	if err != nil || status.PID != s.PID {
		return nil, nil
	}
	return &s, nil
}

// needRunning is running for commands that cannot do without.
func (l *local) needRunning(ctx context.Context) (*localState, error) {
	s, err := l.running(ctx)
	if err == nil && s == nil {
		err = cli.Hinted(errors.New("the local cloud does not run"), l.command("start"))
	}
	return s, err
}

// start runs the local cloud detached and waits until it answers.
func (l *local) start(ctx context.Context, o localOptions) error {
	s, err := l.running(ctx)
	if err != nil {
		return err
	}
	if s != nil {
		l.out.Say("the local cloud already runs at %s", s.URL)
		return l.started(s)
	}
	died, err := l.spawn(o)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-died:
			return l.lastWords()
		case <-tick.C:
		}
		if s, err := l.running(ctx); err != nil || s != nil {
			if err != nil {
				return err
			}
			l.out.Say("the local cloud runs at %s", s.URL)
			return l.started(s)
		}
	}
}

func (l *local) started(s *localState) error {
	l.out.Say("for any AWS client: eval \"$(%s)\"", l.command("env"))
	return l.answer(s)
}

// answer is what start and stop say to programs; nil does not run.
func (l *local) answer(s *localState) error {
	if s == nil {
		s = &localState{}
	}
	return l.out.Object(struct {
		Running bool `json:"running"`
		localState
	}{s.PID != 0, *s})
}

// spawn runs this program again, in its own process group and without this
// terminal. The channel is closed when it ends.
func (l *local) spawn(o localOptions) (died <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	log, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	defer log.Close()
	dir, err := filepath.Abs(l.dir)
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
func (l *local) lastWords() error {
	log, _ := os.ReadFile(l.logFile())
	text, hint := "it ended at once", "the log is "+l.logFile()
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

func newLocalStopCommand(l *local) *cobra.Command {
	return &cobra.Command{
		Use:     "stop",
		Short:   "Stop the local cloud and its instances; its state stays",
		Example: "  wpbake local stop",
		Args:    exactArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.stop(cmd.Context()) },
	}
}

// stop ends the process that answers with its own id, and waits until it has
// let go of the state.
func (l *local) stop(ctx context.Context) error {
	s, err := l.running(ctx)
	if err != nil {
		return err
	}
	if s == nil {
		l.out.Say("the local cloud does not run")
		return l.answer(nil)
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the local cloud, process %d: %w", s.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := l.lock()
		if err == nil {
			lock.Close()
			l.out.Say("the local cloud has stopped; its state stays in %s", l.dir)
			return l.answer(nil)
		}
		if !errors.Is(err, errLocalRuns) {
			return err
		}
		select {
		case <-ctx.Done():
			return cli.Hinted(fmt.Errorf("stopping the local cloud: process %d still runs", s.PID), "the log is "+l.logFile())
		case <-tick.C:
		}
	}
}
