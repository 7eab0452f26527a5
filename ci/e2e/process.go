package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a server of the stack. It leads a session of its own, so that an
// interrupt at the terminal reaches it only by way of stop.
type process struct {
	name string
	pid  int
	log  string
	done chan struct{} // closed when it has ended; nil for one that another program started
}

// spawn starts argv with its output in dir/name.log.
func spawn(dir, name string, argv ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	return p, nil
}

// ready asks probe again and again until it is content.
func (p *process) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(ctx, 25*time.Millisecond, func() error {
		select {
		case <-p.done:
			return final{fmt.Errorf("it ended: %s", p.lastWords())}
		default:
			return probe(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	return nil
}

// lastWords is the end of the log.
func (p *process) lastWords() string {
	log, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// stop ends the process and all that it has started: asked first, then killed.
func (p *process) stop() {
	syscall.Kill(-p.pid, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := poll(ctx, 25*time.Millisecond, func() error {
		if syscall.Kill(-p.pid, 0) == nil {
			return errors.New("it still runs")
		}
		return nil
	})
	if err != nil {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// runs reports whether pid is still the process that had mark, the path of
// the stack, on its command line. A pid from a file may long be another's.
func runs(pid int, mark string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(line, []byte(mark))
}

// final is an error that asking again will not change.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// poll asks until ask is content, gives a final error, or ctx ends; then the
// last answer is part of the error.
func poll(ctx context.Context, every time.Duration, ask func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := ask()
		var f final
		if err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %v", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
