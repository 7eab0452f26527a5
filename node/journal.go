package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// publishTimeout bounds writing a report.
const publishTimeout = time.Minute

// journal is what a boot says: lines on the console while it runs, a report in
// the end. Neither holds a secret once the secrets are known.
type journal struct {
	console io.Writer // nil keeps silent
	report  Report
	logs    logs
	secrets *strings.Replacer // nil before the environment is known
	own     int               // errors in the report that no log told of
}

func newJournal(o Options) *journal {
	return &journal{
		console: o.Log, logs: watchLogs(o.Config.Logs),
		report: Report{Group: o.Group, Run: o.Run, Version: o.Version, Started: time.Now().UTC()},
	}
}

// run runs a stage, times it and turns a panic into its error.
func (j *journal) run(ctx context.Context, s stage) (err error) {
	begun := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			j.say("%s: panic: %v\n%s", s.name, p, debug.Stack())
		}
		seconds := time.Since(begun).Seconds()
		if err != nil {
			j.say("%s failed after %.2fs: %s", s.name, seconds, j.line(err.Error()))
			return
		}
		j.report.Stages = append(j.report.Stages, Stage{Name: s.name, Seconds: seconds})
		j.say("%s %.2fs", s.name, seconds)
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.run(ctx)
}

// say writes to the console. Nothing depends on anybody reading it.
func (j *journal) say(format string, args ...any) {
	if j.console != nil {
		fmt.Fprintln(j.console, "wpbake: "+j.redact(fmt.Sprintf(format, args...)))
	}
}

// note says what went another way than wished and did no harm; the report
// keeps it.
func (j *journal) note(format string, args ...any) {
	text := j.line(fmt.Sprintf(format, args...))
	j.say("%s", text)
	j.report.Notes = append(j.report.Notes, text)
}

// complain says what is wrong although the node serves; the report keeps it
// among its errors.
func (j *journal) complain(text string) {
	j.say("%s", text)
	j.report.Errors = append(j.report.Errors, j.line(text))
	j.own = len(j.report.Errors)
}

func (j *journal) redact(text string) string {
	if j.secrets == nil {
		return text
	}
	return j.secrets.Replace(text)
}

// line makes text one clean line without secrets.
func (j *journal) line(text string) string { return cleanLine(j.redact(strings.TrimSpace(text))) }

// cause is err in one line. An end of time is said in the reader's terms.
func (j *journal) cause(ctx context.Context, err error, limit time.Duration) string {
	switch {
	case ctx.Err() != nil:
		return "interrupted: " + j.line(err.Error())
	case errors.Is(err, context.DeadlineExceeded) && limit > 0 && time.Since(j.report.Started) >= limit:
		return fmt.Sprintf("the boot took longer than %v: %s", limit, j.line(err.Error()))
	}
	return j.line(err.Error())
}

// publish adds what the logs say and puts the report into the store.
func (j *journal) publish(ctx context.Context, store artifact.Store) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	j.report.Finished = time.Now().UTC()
	j.addLogs()
	doc, err := json.MarshalIndent(j.report, "", "  ")
	if err != nil {
		return err
	}
	doc = append(doc, '\n')
	name := ReportName(j.report.Group, j.report.Run, j.report.Instance)
	body := artifact.Body{ReaderAt: bytes.NewReader(doc), Size: int64(len(doc)), Digest: artifact.DigestOf(doc)}
	if _, err := store.Put(ctx, name, body, artifact.Condition{}); err != nil {
		return fmt.Errorf("writing %q: %w", name, err)
	}
	return nil
}

// addLogs is called once for each report written: what a second one says
// replaces what the first one did.
func (j *journal) addLogs() {
	all := j.logs.read()
	found, _ := phpErrors(all)
	j.report.Errors = j.report.Errors[:j.own:j.own]
	for _, e := range found {
		j.report.Errors = append(j.report.Errors, j.redact(e))
	}
	j.report.Logs = tails(all)
	for _, l := range j.report.Logs {
		for i := range l.Lines {
			l.Lines[i] = j.redact(l.Lines[i])
		}
	}
}
