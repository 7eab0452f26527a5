package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// identityPatience is how long the metadata service may be silent after
	// the network came up.
	identityPatience = time.Minute
	identityAttempt  = 10 * time.Second
	identityRetry    = time.Second
)

// Failed says at which stage a boot ended.
type Failed struct {
	Stage string
	Cause string // one line, as in the report
	err   error
}

func (e *Failed) Error() string { return fmt.Sprintf("booting: %s: %s", e.Stage, e.Cause) }

// Unwrap returns the stage's own error.
func (e *Failed) Unwrap() error { return e.err }

// boot is one run of Boot.
type boot struct {
	Options
	layout
	browser browser
	logs    logs
	report  Report
	secrets *strings.Replacer // of what leaves the node; nil before the environment is known
	unlock  func()
	warmed  int // errors in the report that warming left
}

// stage is one step of a boot.
type stage struct {
	name string
	run  func(ctx context.Context) error
}

// Boot brings the node to the release that Options pins, proves it, reports to
// the store and tells the lifecycle hook CONTINUE. After any failure it
// reports and tells ABANDON, and the error is a *Failed. That the hook cannot
// be told who asks is the one exception: without an instance id the hook's
// own timeout abandons.
func Boot(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Refuse(ctx, o, err)
	}
	b := newBoot(o)
	defer func() { b.unlock() }()
	within, cancel := context.WithTimeout(ctx, o.Config.Timeout)
	defer cancel()
	if err := b.do(within, stage{"identity", b.identify}); err != nil {
		return b.fail(ctx, "identity", err)
	}
	defer b.keepAlive(ctx)()
	for _, s := range append(b.stages(), stage{"report", b.reportGood}, stage{"lifecycle", b.goOn}) {
		if err := b.do(within, s); err != nil {
			return b.fail(ctx, s.name, err)
		}
	}
	b.remember()
	return b.report, nil
}

// Refuse ends a boot that could not begin, such as for a configuration that
// cannot be read: it reports cause and tells ABANDON, as far as Options has the
// means.
func Refuse(ctx context.Context, o Options, cause error) (Report, error) {
	b := newBoot(o)
	if o.Metadata != nil {
		if err := b.do(ctx, stage{"identity", b.identify}); err != nil {
			b.say("%v", err)
		}
	}
	return b.fail(ctx, "config", cause)
}

func newBoot(o Options) *boot {
	return &boot{
		Options: o,
		layout:  layout{o.Config.Root},
		browser: newBrowser(o.Config.Gate),
		logs:    watchLogs(o.Config.Logs),
		report:  Report{Group: o.Group, Run: o.Run, Version: o.Version, Started: time.Now().UTC()},
		unlock:  func() {},
	}
}

// stages are what happens between knowing oneself and reporting. Those that
// the configuration leaves empty are left out.
func (b *boot) stages() []stage {
	all := []struct {
		stage
		wanted bool
	}{
		{stage{"lock", b.lockRoot}, true},
		{stage{"manifest", b.findManifest}, true},
		{stage{"fetch", b.fetch}, true},
		{stage{"switch", b.switchOver}, true},
		{stage{"environment", b.writeEnvironment}, b.Config.Environment.Path != ""},
		{stage{"hooks", b.runHooks}, len(b.Config.Hooks) > 0},
		{stage{"services", b.runServices}, len(b.Config.Services) > 0},
		{stage{"warm", b.warmUp}, len(b.Config.Warm) > 0},
		{stage{"gate", b.passGate}, true},
	}
	var wanted []stage
	for _, s := range all {
		if s.wanted {
			wanted = append(wanted, s.stage)
		}
	}
	return wanted
}

// do runs a stage, times it and turns a panic into its error.
func (b *boot) do(ctx context.Context, s stage) (err error) {
	begun := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			b.say("%s: panic: %v\n%s", s.name, p, debug.Stack())
		}
		seconds := time.Since(begun).Seconds()
		if err != nil {
			b.say("%s failed after %.2fs: %s", s.name, seconds, b.line(err.Error()))
			return
		}
		b.report.Stages = append(b.report.Stages, Stage{Name: s.name, Seconds: seconds})
		b.say("%s %.2fs", s.name, seconds)
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.run(ctx)
}

// say writes to the console. Nothing depends on anybody reading it.
func (b *boot) say(format string, args ...any) {
	if b.Log != nil {
		fmt.Fprintln(b.Log, "wpbake: "+b.redact(fmt.Sprintf(format, args...)))
	}
}

func (b *boot) redact(text string) string {
	if b.secrets == nil {
		return text
	}
	return b.secrets.Replace(text)
}

// line makes text one clean line without secrets.
func (b *boot) line(text string) string { return cleanLine(b.redact(strings.TrimSpace(text))) }

// cause is err in one line. An end of time is said in the reader's terms.
func (b *boot) cause(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "interrupted: " + b.line(err.Error())
	case errors.Is(err, context.DeadlineExceeded) && b.Config.Timeout > 0 && time.Since(b.report.Started) >= b.Config.Timeout:
		return fmt.Sprintf("the boot took longer than %v: %s", b.Config.Timeout, b.line(err.Error()))
	}
	return b.line(err.Error())
}

// identify asks who this node is until the metadata service answers.
func (b *boot) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, identityPatience)
	defer cancel()
	for {
		id, err := b.identifyOnce(ctx)
		if err == nil && id.Instance == "" {
			err = errors.New("the answer has no instance id")
		}
		if err == nil {
			b.report.Instance = id.Instance
			return nil
		}
		if pause(ctx, identityRetry) != nil {
			return fmt.Errorf("asking the metadata service: %w", err)
		}
	}
}

func (b *boot) identifyOnce(ctx context.Context) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, identityAttempt)
	defer cancel()
	return b.Metadata.Instance(ctx)
}
