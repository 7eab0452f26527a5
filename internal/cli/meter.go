package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Meter shows how many bytes of a stage are done: on a terminal in one line
// that is painted over, else one line a finished stage.
type Meter struct {
	out  *Output
	live bool

	mu      sync.Mutex
	stage   string
	begun   time.Time
	painted time.Time
	done    bool // the stage's last line was written
}

// NewMeter shows stages on out's stderr until it is closed.
func NewMeter(out *Output) *Meter { return &Meter{out: out, live: out.live()} }

// Update takes a stage's new count. It may be called from many goroutines.
func (m *Meter) Update(p artifact.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.out.Now()
	if p.Stage != m.stage {
		m.stage, m.begun, m.painted, m.done = p.Stage, now, time.Time{}, false
	}
	if m.done {
		return
	}
	m.done = p.Total > 0 && p.Done >= p.Total
	switch {
	case m.done:
		m.clear()
		m.out.Note("%s: %s in %s", p.Stage, Size(p.Done), Elapsed(now.Sub(m.begun)))
	case m.live && now.Sub(m.painted) >= 100*time.Millisecond:
		m.painted = now
		m.clear()
		fmt.Fprint(m.out.Stderr, Printable(amount(p)))
	}
}

// Close leaves the line clean for what is printed next.
func (m *Meter) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	m.done = true
}

func (m *Meter) clear() {
	if m.live {
		fmt.Fprint(m.out.Stderr, "\r\x1b[K")
	}
}

func amount(p artifact.Progress) string {
	if p.Total <= 0 {
		return fmt.Sprintf("%s: %s", p.Stage, Size(p.Done))
	}
	return fmt.Sprintf("%s: %s of %s, %d %%", p.Stage, Size(p.Done), Size(p.Total), p.Done*100/p.Total)
}
