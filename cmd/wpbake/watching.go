package main

import (
	"fmt"
	"time"

	"github.com/wpbake/wpbake/rollout"
)

// watching shows a run's events until close.
type watching interface {
	tell(rollout.Event)
	close()
}

// watching chooses how a run is shown: objects for programs, a picture on a
// terminal, else plain lines.
func (c *cli) watching(title string) watching {
	switch {
	case c.flags.json:
		return eventObjects{c}
	case c.live():
		return newPainter(c, title)
	default:
		return &eventLines{c: c, begun: c.Now()}
	}
}

type eventObjects struct{ c *cli }

func (w eventObjects) tell(e rollout.Event) { w.c.object(e) }
func (w eventObjects) close()               {}

// eventLines writes a line for each change, with the time since the start.
type eventLines struct {
	c     *cli
	begun time.Time
}

func (w *eventLines) tell(e rollout.Event) {
	if e.Text != "" {
		w.c.note("%s  %s", clock(w.c.Now().Sub(w.begun)), e.Text)
	}
}

func (w *eventLines) close() {}

// clock writes an elapsed time in a fixed width: minutes and seconds.
func clock(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	return fmt.Sprintf("%3d:%02d", s/60, s%60)
}

// shower shows a run from its first event on, so that lines of building and
// publishing stand above, and takes the times of its parts.
type shower struct {
	c     *cli
	title string
	laps  *stopwatch
	shown watching
}

func (c *cli) shower(title string) *shower {
	return &shower{c: c, title: title, laps: newStopwatch(c.Now)}
}

func (s *shower) tell(e rollout.Event) {
	if e.Kind == "step" {
		s.laps.step(e.Step)
	}
	if s.shown == nil {
		s.shown = s.c.watching(s.title)
	}
	s.shown.tell(e)
}

func (s *shower) close() {
	if s.shown != nil {
		s.shown.close()
	}
	s.shown = nil
}
