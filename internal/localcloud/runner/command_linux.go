package runner

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// linger is how long output is awaited from what a command left running.
const linger = time.Second

// inside is a shell in an overlay machine: a process that enters the
// namespaces of the machine's first one.
func inside(first int) []string {
	return []string{"nsenter", "--target", strconv.Itoa(first), "--mount", "--uts", "--ipc", "--pid", "--root", "--", "/bin/sh"}
}

// Command runs a command in the machine. In an overlay machine it is root's, in
// a plain one that of whoever runs the local cloud.
func (p *process) Command(ctx context.Context, c ec2.Command) (int, error) {
	select {
	case <-p.done:
		return 0, errors.New("running a command: the machine has ended")
	default:
	}
	args := append([]string(nil), p.shell(p.cmd.Process.Pid)...)
	if c.Line != "" {
		args = append(args, "-c", `cd; exec /bin/sh -c "$1"`, "sh", c.Line)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(append([]string(nil), p.cmd.Env...), c.Environ...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = linger
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		if c.Stdin != nil {
			_, _ = io.Copy(stdin, c.Stdin) // a command need not read what it is sent
		}
		_ = stdin.Close()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}
