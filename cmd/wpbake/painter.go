package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/wpbake/wpbake/rollout"
)

// painter keeps a picture at the end of a terminal and lets lines that stay
// scroll away above it.
type painter struct {
	c     *cli
	st    styles
	begun time.Time
	stop  chan struct{}
	gone  sync.WaitGroup

	mu      sync.Mutex
	picture picture
	painted int // lines of the picture on the terminal
}

func newPainter(c *cli, title string) *painter {
	p := &painter{
		c: c, begun: c.Now(), stop: make(chan struct{}),
		st:      newStyles(lipgloss.NewRenderer(c.Stderr)),
		picture: picture{title: title},
	}
	p.gone.Go(p.tick)
	return p
}

// tick repaints every second, so that the clock shows that somebody watches.
func (p *painter) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			p.paint("")
			p.mu.Unlock()
		}
	}
}

func (p *painter) tell(e rollout.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := ""
	if p.picture.see(e) {
		line = clock(p.c.Now().Sub(p.begun)) + "  " + printable(e.Text)
	}
	p.paint(line)
}

// close leaves the last picture standing.
func (p *painter) close() {
	close(p.stop)
	p.gone.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paint("")
}

// paint replaces the picture by line, when there is one, and a new picture, in
// one write so that nothing flickers.
func (p *painter) paint(line string) {
	var b strings.Builder
	if p.painted > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.painted)
	}
	b.WriteString("\r\x1b[J")
	if line != "" {
		b.WriteString(line + "\n")
	}
	p.picture.elapsed = p.c.Now().Sub(p.begun)
	columns, rows := screen(p.c.Stderr)
	lines := p.picture.lines(p.st, columns-1, rows)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	p.painted = len(lines)
	fmt.Fprint(p.c.Stderr, b.String())
}
