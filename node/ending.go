package node

import (
	"context"
	"errors"
	"time"

	"github.com/wpbake/wpbake/node/disk"
)

// interruptedTimeout bounds what an interrupted boot still says: the machine is
// being stopped under it.
const interruptedTimeout = 5 * time.Second

func (b *boot) reportGood(ctx context.Context) error {
	b.journal.report.Verdict = Good
	return b.journal.publish(ctx, b.options.Store)
}

// continueLaunch tells the hook CONTINUE. A reboot does not wait for a hook that was
// told the first time.
func (b *boot) continueLaunch(ctx context.Context) error {
	timeout := actionTimeout
	if h, err := b.disk.History(); err == nil && h.Has(b.booted()) {
		timeout = 0
	}
	return b.hook.complete(ctx, Continue, timeout)
}

func (b *boot) booted() disk.Booted {
	r := b.journal.report
	return disk.Booted{
		Version: b.options.Version, Manifest: b.options.Manifest, Instance: r.Instance,
		Group: r.Group, Run: r.Run, At: r.Finished,
	}
}

// fail ends the boot badly: the report first, so that whoever sees the node go
// finds out why, then ABANDON. Both outlive an interrupt, for a few seconds.
func (b *boot) fail(ctx context.Context, stageName string, err error) (Report, error) {
	j := b.journal
	failed := &Failed{Stage: stageName, Cause: j.cause(ctx, err, b.options.Config.Timeout), err: err}
	j.report.Verdict, j.report.Stage, j.report.Cause = Bad, failed.Stage, failed.Cause
	timeout := actionTimeout
	if ctx.Err() != nil {
		j.report.Verdict, timeout = Unknown, interruptedTimeout
	}
	ctx = context.WithoutCancel(ctx)
	if j.report.Instance == "" {
		j.say("neither report nor %s: this node does not know its instance id", Abandon)
		return j.report, failed
	}
	if b.options.Store != nil && j.report.Group != "" && j.report.Run != "" {
		publish := func(ctx context.Context) error { return j.publish(ctx, b.options.Store) }
		if err := j.run(ctx, stage{name: "report", run: publish}); err != nil {
			failed.err = errors.Join(failed.err, err)
		}
	}
	if b.hook.name != "" && b.hook.lifecycle != nil {
		abandon := func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return b.hook.complete(ctx, Abandon, timeout)
		}
		if err := j.run(ctx, stage{name: "lifecycle", run: abandon}); err != nil {
			failed.err = errors.Join(failed.err, err)
		}
	}
	return j.report, failed
}

// remember is housekeeping after CONTINUE. The node serves, so that nothing
// here can fail the boot.
func (b *boot) remember() {
	h, err := b.disk.History()
	if err != nil {
		b.journal.say("beginning a new history: %v", err)
	}
	h = h.With(b.booted(), b.options.Config.Keep)
	if err := b.disk.WriteHistory(h); err != nil {
		b.journal.say("writing the history: %v", err)
		return
	}
	if err := b.disk.Prune(h.Names()); err != nil {
		b.journal.say("removing old releases: %v", err)
	}
}
