package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Linux counts as a process's peak memory also what its parent had when it
// started the program: measured from here, a short process would seem to be as
// large as the benchmark. So this program starts itself once more, small, and
// that process starts what is measured and hands back what it cost.

// measuring is the first argument of that process.
const measuring = "measuring"

// env is what commands run in.
type env []string

// spent is what a command cost, all its processes together.
type spent struct {
	Seconds float64
	Memory  int64 // bytes that its largest process had in memory
	printed []byte
}

// run runs a command and returns what it printed.
func (e env) run(ctx context.Context, argv []string) ([]byte, error) {
	return e.start(exec.CommandContext(ctx, argv[0], argv[1:]...), argv)
}

// spend measures a command as a whole process. What others wrote before it is
// on the disk by then.
func (e env) spend(ctx context.Context, argv []string) (spent, error) {
	self, err := os.Executable()
	if err != nil {
		return spent{}, err
	}
	answer, sink, err := os.Pipe()
	if err != nil {
		return spent{}, err
	}
	defer answer.Close()
	cmd := exec.CommandContext(ctx, self, append([]string{measuring}, argv...)...)
	cmd.ExtraFiles = []*os.File{sink}
	syscall.Sync()
	printed, err := e.start(cmd, argv)
	sink.Close()
	if err != nil {
		return spent{}, err
	}
	s := spent{printed: printed}
	if err := json.NewDecoder(answer).Decode(&s); err != nil {
		return spent{}, fmt.Errorf("reading what %q cost: %w", argv[0], err)
	}
	return s, nil
}

// start runs cmd, which is argv or stands for it.
func (e env) start(cmd *exec.Cmd, argv []string) ([]byte, error) {
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), e...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %q: %w\n%s%s", strings.Join(argv, " "), err, out.Bytes(), said.Bytes())
	}
	return out.Bytes(), nil
}

// measureChild is the small process: it runs a command with its own input and
// output, writes what the command cost to its fourth file, and ends as it did.
func measureChild(argv []string) (exit int) {
	runtime.LockOSThread() // the kernel ends the child with the thread that started it
	child := exec.Command(argv[0], argv[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	err := child.Run()
	s := spent{Seconds: time.Since(begun).Seconds()}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.Exited():
		return ended.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.Memory = usage.Maxrss << 10
	}
	if err := json.NewEncoder(os.NewFile(3, "answer")).Encode(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
