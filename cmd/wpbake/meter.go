package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// meter shows how many bytes of a stage are done: on a terminal in one line
// that is painted over, else one line a finished stage.
type meter struct {
	c    *cli
	live bool

	mu      sync.Mutex
	stage   string
	begun   time.Time
	painted time.Time
	done    bool // the stage's last line was written
}

func (c *cli) meter() *meter { return &meter{c: c, live: c.live()} }

// update takes a stage's new count. It may be called from many goroutines.
func (m *meter) update(p artifact.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.c.Now()
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
		m.c.note("%s: %s in %s", p.Stage, size(p.Done), elapsed(now.Sub(m.begun)))
	case m.live && now.Sub(m.painted) >= 100*time.Millisecond:
		m.painted = now
		m.clear()
		fmt.Fprint(m.c.Stderr, printable(amount(p)))
	}
}

// close leaves the line clean for what is printed next.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	m.done = true
}

func (m *meter) clear() {
	if m.live {
		fmt.Fprint(m.c.Stderr, "\r\x1b[K")
	}
}

func amount(p artifact.Progress) string {
	if p.Total <= 0 {
		return fmt.Sprintf("%s: %s", p.Stage, size(p.Done))
	}
	return fmt.Sprintf("%s: %s of %s, %d %%", p.Stage, size(p.Done), size(p.Total), p.Done*100/p.Total)
}

// size writes a size for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/unit, "KMGT"
	for f >= unit && len(units) > 1 {
		f, units = f/unit, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, units[0])
}

// elapsed writes a duration for people: tenths below a minute, then seconds.
func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return brief(d.Round(time.Second))
}
