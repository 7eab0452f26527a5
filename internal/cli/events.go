package cli

import (
	"time"

	"github.com/wpbake/wpbake/rollout"
)

// eventView shows a run's events until it is closed.
type eventView interface {
	emit(rollout.Event)
	close()
}

// newEventView chooses how a run is shown: objects for programs, a live view
// on a terminal, else plain lines.
func newEventView(out *Output, title string) eventView {
	switch {
	case out.JSON:
		return eventObjects{out}
	case out.live():
		return newPainter(out, title)
	default:
		return &eventLines{out: out, begun: out.Now()}
	}
}

type eventObjects struct{ out *Output }

func (w eventObjects) emit(e rollout.Event) { w.out.Object(e) }
func (w eventObjects) close()               {}

// eventLines writes a line for each change, with the time since the start.
type eventLines struct {
	out   *Output
	begun time.Time
}

func (w *eventLines) emit(e rollout.Event) {
	if e.Text != "" {
		w.out.Note("%s  %s", clock(w.out.Now().Sub(w.begun)), e.Text)
	}
}

func (w *eventLines) close() {}

// RunView shows a run from its first event on, so that lines of building and
// publishing stand above, and takes the times of the command's parts.
type RunView struct {
	*Stopwatch
	out   *Output
	title string
	shown eventView
}

// NewRunView shows a run under a title on out.
func NewRunView(out *Output, title string) *RunView {
	return &RunView{Stopwatch: NewStopwatch(out.Now), out: out, title: title}
}

// Emit takes an event of the run.
func (v *RunView) Emit(e rollout.Event) {
	if e.Kind == "step" {
		v.step(e.Step)
	}
	if v.shown == nil {
		v.shown = newEventView(v.out, v.title)
	}
	v.shown.emit(e)
}

// Close leaves the last view standing, for what is printed next. It may be
// called twice.
func (v *RunView) Close() {
	if v.shown != nil {
		v.shown.close()
	}
	v.shown = nil
}
