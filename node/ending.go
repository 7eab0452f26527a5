package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// reportTime bounds writing a report.
const reportTime = time.Minute

func (b *boot) action() Action {
	return Action{Group: b.Group, Hook: b.Hook, Instance: b.report.Instance}
}

func (b *boot) booted() Booted {
	return Booted{
		Version: b.Version, Manifest: b.Manifest, Instance: b.report.Instance,
		Group: b.Group, Run: b.Run, At: b.report.Finished,
	}
}

// keepAlive beats while the boot runs, when there is a hook to keep waiting.
func (b *boot) keepAlive(ctx context.Context) (stop func()) {
	if b.Hook == "" {
		return func() {}
	}
	return keepAlive(ctx, b.Lifecycle, b.action())
}

func (b *boot) reportGood(ctx context.Context) error {
	b.report.Verdict = Good
	return b.writeReport(ctx)
}

// goOn tells the hook CONTINUE. A reboot does not wait for a hook that was
// told the first time.
func (b *boot) goOn(ctx context.Context) error {
	if b.Hook == "" {
		return nil
	}
	patience := actionPatience
	if h, err := b.history(); err == nil && h.has(b.booted()) {
		patience = 0
	}
	told, err := complete(ctx, b.Lifecycle, Completion{b.action(), Continue}, patience)
	if err == nil && !told {
		b.say("hook %q was not waiting", b.Hook)
	}
	return err
}

// interruptedPatience bounds what an interrupted boot still says: the machine
// is being stopped under it.
const interruptedPatience = 5 * time.Second

// fail ends the boot badly: the report first, so that whoever sees the node go
// finds out why, then ABANDON. Both outlive an interrupt, for a few seconds.
func (b *boot) fail(ctx context.Context, name string, err error) (Report, error) {
	failed := &Failed{Stage: name, Cause: b.cause(ctx, err), err: err}
	b.report.Verdict, b.report.Stage, b.report.Cause = Bad, failed.Stage, failed.Cause
	patience := actionPatience
	if ctx.Err() != nil {
		b.report.Verdict, patience = Unknown, interruptedPatience
	}
	ctx = context.WithoutCancel(ctx)
	if b.report.Instance == "" {
		b.say("neither report nor %s: this node does not know its instance id", Abandon)
		return b.report, failed
	}
	if b.Store != nil && b.Group != "" && b.Run != "" {
		if err := b.do(ctx, stage{"report", b.writeReport}); err != nil {
			failed.err = errors.Join(failed.err, err)
		}
	}
	if b.Hook != "" && b.Lifecycle != nil {
		giveUp := func(ctx context.Context) error { return b.giveUp(ctx, patience) }
		if err := b.do(ctx, stage{"lifecycle", giveUp}); err != nil {
			failed.err = errors.Join(failed.err, err)
		}
	}
	return b.report, failed
}

func (b *boot) giveUp(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	told, err := complete(ctx, b.Lifecycle, Completion{b.action(), Abandon}, patience)
	if err == nil && !told {
		b.say("hook %q was not waiting", b.Hook)
	}
	return err
}

// writeReport adds what the logs say and puts the report into the store.
func (b *boot) writeReport(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	b.report.Finished = time.Now().UTC()
	b.addLogs()
	doc, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	doc = append(doc, '\n')
	name := ReportName(b.Group, b.Run, b.report.Instance)
	body := artifact.Body{ReaderAt: bytes.NewReader(doc), Size: int64(len(doc)), Digest: artifact.DigestOf(doc)}
	if _, err := b.Store.Put(ctx, name, body, artifact.Condition{}); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return nil
}

// addLogs is called once for each report written: what a second one says
// replaces what the first one did.
func (b *boot) addLogs() {
	all := b.logs.read()
	found, _ := phpErrors(all)
	b.report.Errors = b.report.Errors[:b.warmed:b.warmed]
	for _, e := range found {
		b.report.Errors = append(b.report.Errors, b.redact(e))
	}
	b.report.Logs = tails(all)
	for _, l := range b.report.Logs {
		for i := range l.Lines {
			l.Lines[i] = b.redact(l.Lines[i])
		}
	}
}

// remember is housekeeping after CONTINUE. The node serves, so that nothing
// here can fail the boot.
func (b *boot) remember() {
	h, err := b.history()
	if err != nil {
		b.say("beginning a new history: %v", err)
	}
	h = h.with(b.booted(), b.Config.Keep)
	if err := b.writeHistory(h); err != nil {
		b.say("writing the history: %v", err)
		return
	}
	if err := b.prune(h.directories()); err != nil {
		b.say("removing old releases: %v", err)
	}
}
