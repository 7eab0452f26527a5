package fetch

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// Connections that break after a byte, or again and again after more, end the
// read; some breaks in a long artifact do not.
func TestBreaksAreBounded(t *testing.T) {
	const size = 64 << 20
	for name, c := range map[string]struct {
		each    int64 // bytes that a connection brings
		opened  int   // connections, at most
		arrives bool
	}{
		"nothing":              {0, maxBreaks + 1, false},
		"a byte":               {1, maxBreaks + 1, false},
		"some, without an end": {leastProgress, maxBreaksInAll + 1, false},
		"much":                 {2 << 20, 32, true},
	} {
		t.Run(name, func(t *testing.T) {
			opened := 0
			r := &rangeReader{end: size, wait: func(time.Duration) error { return nil }}
			r.open = func(_, n int64) (io.ReadCloser, error) {
				if opened++; opened > c.opened {
					t.Fatalf("connection %d", opened)
				}
				return io.NopCloser(io.MultiReader(io.LimitReader(zeros{}, min(n, c.each)), reset{})), nil
			}
			n, err := io.Copy(io.Discard, r)
			if c.arrives && (err != nil || n != size) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if !c.arrives && (err == nil || !strings.Contains(err.Error(), "connection reset")) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type reset struct{}

func (reset) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }
