package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/wpbake/wpbake/node/wait"
)

const (
	listenTimeout = 15 * time.Second // for a service to listen after its command ended
	warmTimeout   = time.Minute      // for all of the warm-up
)

// warmUp has pages made before anybody waits for them.
type warmUp struct {
	browser browser
	paths   []string
	journal *journal
}

// run is the stage that asks for each page once. A failure is told and fails
// nothing: the verdict is the gate's.
func (w warmUp) run(ctx context.Context) error {
	w.journal.report.Warm = w.browser.warm(ctx, w.paths)
	for i := range w.journal.report.Warm {
		page := &w.journal.report.Warm[i]
		page.Error = w.journal.line(page.Error)
		if failed := page.failure(); failed != "" {
			w.journal.complain(failed)
		}
	}
	return ctx.Err()
}

// Warmed is a page that was asked for so that its code is in opcache. One
// request is enough for all of PHP-FPM's processes: they share the cache.
type Warmed struct {
	Path    string  `json:"path"`
	Status  int     `json:"status,omitempty"` // 0: there was no answer
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// failure is what went wrong, in a line, or empty.
func (w Warmed) failure() string {
	switch {
	case w.Error != "":
		return fmt.Sprintf("warming %q: %s", w.Path, w.Error)
	case w.Status >= http.StatusBadRequest:
		return fmt.Sprintf("warming %q: status %d", w.Path, w.Status)
	}
	return ""
}

// warm asks for each path once, for as long as all of it may take. A failure is
// no verdict: that is the gate's.
func (b browser) warm(ctx context.Context, paths []string) []Warmed {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	var all []Warmed
	listening := time.Now().Add(listenTimeout)
	for _, path := range paths {
		begun := time.Now()
		p, err := b.get(ctx, path)
		for refused(err) && time.Now().Before(listening) && wait.Pause(ctx, gatePause) == nil {
			p, err = b.get(ctx, path)
		}
		w := Warmed{Path: path, Status: p.status, Seconds: time.Since(begun).Seconds()}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			w.Error = fmt.Sprintf("no answer within the %v of the whole warm-up", warmTimeout)
		default:
			w.Error = err.Error()
		}
		all = append(all, w)
	}
	return all
}

// refused tells a server that does not listen yet from one that fails.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
