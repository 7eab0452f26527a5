package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	outputBytes = 16 << 10 // kept of a command's output, from its end
	outputLines = 5        // of these in the cause

	// outputTimeout is what a command's children get to close its output after
	// it ended or was killed. A daemon that keeps it open is left alone.
	outputTimeout = 2 * time.Second
)

// commands are programs of the node's owner: hooks, or services to start.
type commands struct {
	list      [][]string    // argv lists
	timeout   time.Duration // for each
	variables []string      // added to their environment
}

// run is the stage that runs each command in order and stops at the first
// failure, whose last lines of output are the cause.
func (c commands) run(ctx context.Context) error {
	for _, argv := range c.list {
		if err := c.one(ctx, argv); err != nil {
			return err
		}
	}
	return nil
}

func (c commands) one(ctx context.Context, argv []string) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var output tail
	cmd := exec.CommandContext(limited, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), c.variables...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = outputTimeout
	// Its own process group, so that a shell's children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("no end after %v", c.timeout)
	}
	lines := cleanLines(output.String())
	if n := len(lines); n > 0 {
		return fmt.Errorf("running %q: %w: %s", strings.Join(argv, " "), err, strings.Join(lines[max(0, n-outputLines):], " | "))
	}
	return fmt.Errorf("running %q: %w", strings.Join(argv, " "), err)
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > outputBytes {
		p = p[n-outputBytes:]
	}
	if over := t.Len() + len(p) - outputBytes; over > 0 {
		t.Next(over)
	}
	if _, err := t.Buffer.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}
