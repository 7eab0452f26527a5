package main

import (
	"strings"
	"time"

	"github.com/wpbake/wpbake/rollout"
)

// lap is one part of a command and how long it took.
type lap struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// stopwatch takes the times of a command's parts.
type stopwatch struct {
	now  func() time.Time
	last time.Time
	laps []lap
}

func newStopwatch(now func() time.Time) *stopwatch { return &stopwatch{now: now, last: now()} }

// lap ends the part that runs now.
func (s *stopwatch) lap(name string) {
	now := s.now()
	s.laps = append(s.laps, lap{name, now.Sub(s.last).Seconds()})
	s.last = now
}

// step ends the part of a run that a recorded step closes.
func (s *stopwatch) step(step rollout.Step) {
	switch step {
	case rollout.StepRefresh:
		s.lap("start")
	case rollout.StepVerdict:
		s.lap("first node")
	case rollout.StepSettled:
		s.lap("refresh")
	case rollout.StepProven:
		s.lap("proof")
	case rollout.StepSchema:
		s.lap("database")
	}
}

func lapLine(laps []lap) string {
	parts := make([]string, len(laps))
	for i, l := range laps {
		parts[i] = l.Name + " " + spent(l.Seconds)
	}
	return strings.Join(parts, ", ")
}

func spent(seconds float64) string {
	return elapsed(time.Duration(seconds * float64(time.Second)))
}
