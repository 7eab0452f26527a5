package runner

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"time"
)

// Exec runs a shell script in the machine, as an agent on it would.
func (p *process) Exec(ctx context.Context, script string, stdout, stderr io.Writer) (int, error) {
	argv := []string{"/bin/sh", "-c", script}
	if p.namespaces {
		pid := strconv.Itoa(p.cmd.Process.Pid)
		argv = append([]string{"nsenter", "--target", pid, "--mount", "--uts", "--ipc", "--pid", "--root", "--wd"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = p.cmd.Env, p.cmd.Dir
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // for what the script left running
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	}
	return 0, err
}
