package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/wpbake/wpbake/rollout"
)

// painter keeps a live view at the end of a terminal and lets lines that stay
// scroll away above it.
type painter struct {
	out   *Output
	st    styles
	begun time.Time
	stop  chan struct{}
	gone  sync.WaitGroup

	mu      sync.Mutex
	view    liveView
	painted int // lines of the view on the terminal
}

func newPainter(out *Output, title string) *painter {
	p := &painter{
		out: out, begun: out.Now(), stop: make(chan struct{}),
		st:   newStyles(lipgloss.NewRenderer(out.Stderr)),
		view: liveView{title: title},
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

func (p *painter) emit(e rollout.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := ""
	if p.view.see(e) {
		line = clock(p.out.Now().Sub(p.begun)) + "  " + Printable(e.Text)
	}
	p.paint(line)
}

// close leaves the last view standing.
func (p *painter) close() {
	close(p.stop)
	p.gone.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paint("")
}

// paint replaces the view by line, when there is one, and a new view, in
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
	p.view.elapsed = p.out.Now().Sub(p.begun)
	columns, rows := screen(p.out.Stderr)
	lines := p.view.lines(p.st, columns-1, rows)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	p.painted = len(lines)
	fmt.Fprint(p.out.Stderr, b.String())
}
