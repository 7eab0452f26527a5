package packerexec

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/internal/scratch"
)

// lingering is how long pipes stay open for what Packer left running.
const lingering = 5 * time.Second

// maxLine is more than any event is long.
const maxLine = 1 << 20

// Job is one run of Packer.
type Job struct {
	Command   string            // "build" or "validate"
	Template  string            // a file or directory
	Dir       string            // working directory; "" is the caller's
	Variables map[string]string // of the template; those that it does not have are passed over
	Environ   []string          // besides the caller's

	// Progress gets each event, without secrets; nil for nobody.
	Progress func(Event)
	// Force ends everything at once when it is closed. Packer cleans up when
	// the context ends, which takes minutes; nil waits for it.
	Force <-chan struct{}
}

// Failed is a run that Packer ended with an error.
type Failed struct {
	Command string
	Cause   string   // one line
	Said    []string // the last errors that were printed, oldest first
	Status  int      // exit status, -1 when a signal ended it
	err     error
}

func (e *Failed) Error() string { return fmt.Sprintf("running packer %s: %s", e.Command, e.Cause) }
func (e *Failed) Unwrap() error { return e.err }

// Run runs Packer until it ends, and returns what was made. When ctx ends,
// Packer is interrupted and cleans up; the error is then ctx's cause.
//
// Variables go by the environment: there they are for this user's eyes, and a
// template need not have them all.
func (p *Packer) Run(ctx context.Context, job Job) ([]Artifact, error) {
	own, err := scratch.New("", "wpbake-packer-")
	if err != nil {
		return nil, err
	}
	defer own.Remove()
	r := &running{job: job, redact: newSecrets(secretsOf(p.environ))}
	if err := r.run(ctx, p, own.Path); err != nil {
		return nil, err
	}
	return r.made.all(), nil
}

func (a *artifacts) all() []Artifact {
	var all []Artifact
	for _, one := range a.made {
		if one.ID != "" {
			all = append(all, *one)
		}
	}
	slices.SortFunc(all, func(x, y Artifact) int { return strings.Compare(x.Build+" "+x.ID, y.Build+" "+y.ID) })
	return all
}

// running is a job under way.
type running struct {
	job    Job
	redact *secrets // of standard output
	made   artifacts
	cause  string
	said   []string
	noise  []string // what is no event
	crash  string   // how Packer says that it has crashed, before a long trace
}

func (r *running) run(ctx context.Context, p *Packer, temporary string) error {
	args := []string{"-machine-readable", r.job.Command}
	if r.job.Command == "build" {
		args = append(args, "-on-error=cleanup")
	}
	cmd := exec.Command(p.Program, append(args, r.job.Template)...)
	// Packer logs to a temporary file, to have it when it crashes.
	cmd.Env = append(slices.Clone(p.environ), "TMPDIR="+temporary)
	cmd.Env = append(append(cmd.Env, r.job.Environ...), variables(r.job.Variables)...)
	cmd.Dir = r.job.Dir
	// A group of its own: the terminal's interrupt does not reach it, so that
	// it gets one from us and no more.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = lingering
	out, outW := io.Pipe()
	said, saidW := io.Pipe()
	cmd.Stdout, cmd.Stderr = outW, saidW
	var readers sync.WaitGroup
	readers.Go(func() { eachLine(out, r.event) })
	var errs []string
	redact := newSecrets(secretsOf(p.environ))
	crash := ""
	readers.Go(func() {
		eachLine(said, func(line string) {
			line = redact.clean(line)
			crash = cmp.Or(crash, crashed(line))
			errs = remember(errs, line)
		})
	})
	err := cmd.Start()
	if err == nil {
		err = r.wait(ctx, cmd, p.grace)
	}
	_, _ = outW.Close(), saidW.Close() // a pipe's writer closes without error
	readers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		r.crash = cmp.Or(r.crash, crash)
		return r.failed(err, errs)
	}
	return nil
}

func variables(values map[string]string) []string {
	var environ []string
	for name, value := range values {
		environ = append(environ, "PKR_VAR_"+name+"="+value)
	}
	return environ
}

// wait interrupts Packer when ctx ends, and kills it when it must.
func (r *running) wait(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			// The whole group, as a terminal does it: the first process of
			// Packer only watches another one, and hands nothing on.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		case <-r.job.Force:
			_ = killGroup(cmd)
			return
		}
		var late <-chan time.Time
		if grace > 0 {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-ended:
		case <-r.job.Force:
			_ = killGroup(cmd)
		case <-late:
			_ = killGroup(cmd)
		}
	})
	err := cmd.Wait()
	close(ended)
	watcher.Wait()
	return err
}

func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// event takes in a line of standard output.
func (r *running) event(line string) {
	e, err := ParseEvent(line)
	if err != nil {
		line = r.redact.clean(line)
		r.crash = cmp.Or(r.crash, crashed(line))
		r.noise = remember(r.noise, line)
		return
	}
	for i, text := range e.Data {
		e.Data[i] = r.redact.clean(text)
	}
	r.made.add(e)
	if text, isError, ok := e.Said(); ok && isError {
		r.said = remember(r.said, text)
	}
	if e.Type == "error" && len(e.Data) > 0 && r.cause == "" {
		r.cause = cut(e.Data[0])
	}
	if r.job.Progress != nil {
		r.job.Progress(e)
	}
}

// failed says why in one line: what the build says of itself, else the last
// that was printed.
func (r *running) failed(err error, printed []string) error {
	f := &Failed{Command: r.job.Command, Cause: r.cause, Said: r.said, Status: -1, err: err}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		f.Status = exit.ExitCode()
	}
	if f.Cause == "" && r.crash != "" {
		f.Cause = "packer crashed: " + cut(r.crash)
	}
	for _, lines := range [][]string{r.said, printed, r.noise} {
		if f.Cause == "" && len(lines) > 0 {
			f.Cause = cut(lines[len(lines)-1])
		}
	}
	if f.Cause == "" {
		f.Cause = err.Error()
	}
	return f
}

// crashed is a line by which Go's programs begin to tell of their end, "" for
// any other.
func crashed(line string) string {
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIGQUIT: ") {
		return line
	}
	return ""
}

const remembered = 20 // lines

func remember(lines []string, text string) []string {
	if strings.TrimSpace(text) == "" {
		return lines
	}
	return append(lines[max(0, len(lines)-remembered+1):], text)
}

// eachLine calls f until in ends; of a line that is too long the rest is
// passed over, so that the writer never has to wait.
func eachLine(in io.Reader, f func(string)) {
	reader := bufio.NewReaderSize(in, 64<<10)
	var line []byte
	for {
		part, more, err := reader.ReadLine()
		if err != nil {
			return
		}
		if len(line)+len(part) <= maxLine {
			line = append(line, part...)
		}
		if !more {
			f(string(line))
			line = line[:0]
		}
	}
}
