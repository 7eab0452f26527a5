package cli

import (
	"strings"
	"time"

	"github.com/wpbake/wpbake/rollout"
)

// Timing is one part of a command and how long it took.
type Timing struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Timings are a command's parts in their order.
type Timings []Timing

// String writes them in one line.
func (t Timings) String() string {
	parts := make([]string, len(t))
	for i, one := range t {
		parts[i] = one.Name + " " + Seconds(one.Seconds)
	}
	return strings.Join(parts, ", ")
}

// Stopwatch takes the times of a command's parts.
type Stopwatch struct {
	Timings Timings

	now  func() time.Time
	last time.Time
}

// NewStopwatch begins with the first part.
func NewStopwatch(now func() time.Time) *Stopwatch { return &Stopwatch{now: now, last: now()} }

// Lap ends the part that runs now.
func (s *Stopwatch) Lap(name string) {
	now := s.now()
	s.Timings = append(s.Timings, Timing{name, now.Sub(s.last).Seconds()})
	s.last = now
}

// step ends the part of a run that a recorded step closes.
func (s *Stopwatch) step(step rollout.Step) {
	switch step {
	case rollout.StepRefresh:
		s.Lap("start")
	case rollout.StepVerdict:
		s.Lap("first node")
	case rollout.StepSettled:
		s.Lap("refresh")
	case rollout.StepProven:
		s.Lap("proof")
	case rollout.StepSchema:
		s.Lap("database")
	}
}
