package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pollInterval = 10 * time.Millisecond
	killTimeout  = 10 * time.Second // the kernel ends processes at once, or hangs
	lastWords    = time.Second      // for what is still in the console's pipe
)

// process is a machine that was started.
type process struct {
	cmd     *exec.Cmd // the first process
	grace   time.Duration
	own     func(pid int) bool       // so says the kernel; some processes of a plain machine are not found by it
	belongs func(pid int) bool       // pid is one of the machine's processes; not asked once done is closed
	inherit *os.File                 // handed to the first process as descriptor 4, or nil
	after   func()                   // what to do when the first process has ended
	shell   func(first int) []string // a shell in the machine whose first process that is
	dir     string                   // the machine's own

	namespaces bool // the first process has namespaces of its own

	console console
	done    chan struct{}
}

// start returns once the first process says that it is booting.
func (p *process) start(ctx context.Context, notes []string) error {
	for _, note := range notes {
		fmt.Fprintln(&p.console, note)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	ready, readyW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, out.Close(), outW.Close())
	}
	defer ready.Close()
	p.cmd.Stdout, p.cmd.Stderr = outW, outW
	p.cmd.ExtraFiles = []*os.File{readyW}
	if p.inherit != nil {
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, p.inherit)
	}
	p.done = make(chan struct{})
	started := make(chan error)
	go p.run(started, out)
	err = <-started
	outW.Close()
	readyW.Close()
	if err != nil {
		return err
	}
	if err := p.await(ctx, ready); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// run starts the first process and stays its parent. The death signal comes
// when the thread ends that started it, so that thread is kept for it.
func (p *process) run(started chan<- error, out *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer out.Close()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		_, _ = io.Copy(&p.console, out)
	}()
	_ = p.cmd.Wait()
	p.after()
	_ = out.SetReadDeadline(time.Now().Add(lastWords))
	<-printed
	close(p.done)
}

// await waits for the first process to say that it is booting. When it ends
// before, the console has the reason.
func (p *process) await(ctx context.Context, ready *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(ready).ReadString('\n')
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		<-p.done
		return fmt.Errorf("booting: %s", strings.TrimSpace(string(p.Console())))
	case line != "booting\n":
		return fmt.Errorf("booting: the first process said %q", line)
	}
	return nil
}

// Console is the last 64 KiB that the machine's processes printed.
func (p *process) Console() []byte { return p.console.Bytes() }

// Done is closed when the first process and all others have ended.
func (p *process) Done() <-chan struct{} { return p.done }

// PoweredOff reports whether the boot script ended the machine, which it does at
// the signal at which systemd powers off.
func (p *process) PoweredOff() bool {
	select {
	case <-p.done:
		return p.cmd.ProcessState != nil && p.cmd.ProcessState.ExitCode() == 0
	default:
		return false
	}
}

// Stop asks all processes but the first to end, gives those it asked the
// grace, or until ctx ends, and then pulls the plug. The first process is
// halted before that, or it would go on to the next part of user data.
func (p *process) Stop(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, p.grace)
	defer cancel()
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	asked := members(p.belongs)
	for _, one := range asked {
		if one.Pid != p.cmd.Process.Pid {
			_ = one.Signal(syscall.SIGTERM)
		}
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for p.anyAlive(asked) {
		select {
		case <-tick.C:
			continue
		case <-p.done:
		case <-ctx.Done():
		}
		break
	}
	release(asked)
	return p.Kill()
}

func (p *process) anyAlive(asked []*os.Process) bool {
	for _, one := range asked {
		if one.Pid != p.cmd.Process.Pid && alive(one) {
			return true
		}
	}
	return false
}

// Kill ends everything at once.
func (p *process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(killTimeout):
		return errors.New("killing the machine: its processes do not end")
	}
}

// members are the processes of which belongs says so, but never this one. The
// caller releases them.
func members(belongs func(pid int) bool) []*os.Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []*os.Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// The handle comes first: whatever gets the number later, belongs is
		// asked about this process or a signal to it goes nowhere.
		one, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if belongs(pid) && alive(one) {
			found = append(found, one)
		} else {
			_ = one.Release()
		}
	}
	return found
}

func release(all []*os.Process) {
	for _, one := range all {
		_ = one.Release()
	}
}

// alive reports whether a process still runs; one that ended and waits to be
// collected does not. A process whose first thread has ended looks like that
// too, while the others still hold its sockets.
func alive(one *os.Process) bool {
	if one.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", one.Pid))
	if err != nil {
		return false
	}
	// "pid (name) state …", where the name may have anything in it
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	if !bytes.HasPrefix(state, []byte("Z")) {
		return true
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", one.Pid))
	return err == nil && len(threads) > 1
}

// end kills processes until there are none. Those it killed are waited for by
// handle: a process shows no signs of whose it is any more some time before it
// has closed its sockets.
func end(belongs func(pid int) bool) error {
	var dying []*os.Process
	defer func() { release(dying) }()
	deadline := time.Now().Add(killTimeout)
	for {
		found := members(belongs)
		for _, one := range found {
			_ = one.Kill()
		}
		dying = append(dying, found...)
		if len(found) == 0 && !slices.ContainsFunc(dying, alive) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("killing %d processes: they do not end", len(dying))
		}
		time.Sleep(pollInterval)
	}
}
