package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// A rangeReader reads part of an object and, when the connection breaks on
// the way, goes on where it broke.
type rangeReader struct {
	open      func(off, n int64) (io.ReadCloser, error)
	wait      func(time.Duration) error
	off, end  int64
	body      io.ReadCloser
	breaks    int // in a row
	allBreaks int
	since     int64 // bytes since the last progress
}

// How often a connection may break: without progress in between, and in all.
// A byte now and then is no progress, or a store could keep a reader for ever.
// The first pause doubles.
const (
	maxBreaks      = 5
	maxBreaksInAll = 64
	leastProgress  = 128 << 10 // bytes
	firstPause     = 50 * time.Millisecond
)

func newRangeReader(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, off, end int64) *rangeReader {
	name := artifact.ReleasePrefix(m.Version) + artifact.TarballName
	return &rangeReader{
		off: off, end: end,
		open: func(off, n int64) (io.ReadCloser, error) {
			obj, err := store.Get(ctx, name, off, n)
			if errors.Is(err, artifact.ErrNotFound) {
				return nil, artifact.Damagef(name, "the manifest names it, but it is not there")
			}
			if err != nil {
				return nil, err
			}
			if err := artifact.CheckSize(m, name, obj.Size); err != nil {
				obj.Close()
				return nil, err
			}
			return obj, nil
		},
		wait: func(d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func (r *rangeReader) Read(p []byte) (int, error) {
	for r.off < r.end {
		if r.body == nil {
			body, err := r.open(r.off, r.end-r.off)
			if err != nil {
				return 0, err
			}
			r.body = body
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
		r.off += int64(n)
		if n > 0 {
			if r.since += int64(n); r.since >= leastProgress {
				r.breaks, r.since = 0, 0
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		if err := r.broke(err); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// broke decides whether to go on after an error in the middle.
func (r *rangeReader) broke(err error) error {
	r.Close()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.allBreaks++
	if r.breaks++; r.breaks > maxBreaks || r.allBreaks > maxBreaksInAll {
		return fmt.Errorf("reading artifact: %w", err)
	}
	return r.wait(firstPause << (r.breaks - 1))
}

func (r *rangeReader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}

// span is a run of sections that one request fetches, or none.
type span struct {
	sections []artifact.Extent
	local    bool // the base has them
}

// spanTarget is what one request fetches: enough that its latency does not
// count, little enough that several share the connection's width.
const spanTarget = 4 << 20

// plan groups sections that follow each other by where they come from.
func (f *fetcher) plan(sections []artifact.Extent) []span {
	var spans []span
	size := int64(0)
	for i, s := range sections {
		local := f.base.holds(f.u.index.Frames[s.Frame : s.Frame+s.Frames])
		if i == 0 || size >= spanTarget || spans[len(spans)-1].local != local {
			spans, size = append(spans, span{local: local}), 0
		}
		last := &spans[len(spans)-1]
		last.sections = append(last.sections, s)
		size += s.Stored
	}
	return spans
}
