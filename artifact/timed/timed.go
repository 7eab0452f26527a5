// Package timed keeps a store's answers from taking for ever: a connection that
// stalls, or brings a byte now and then, ends in an error that names the object.
//
// A document has a deadline for the whole of its read. An artifact may be large
// and the network slow, so it has a least rate instead. It counts on stores
// whose reads end with their context.
package timed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// What the answers of a store are given.
const (
	Document = 30 * time.Second // for all of one document, its body included
	Listing  = 2 * time.Minute  // for all pages of a listing
	Window   = 20 * time.Second // of waiting, in which an artifact has to bring Least
	Rate     = 16 << 10         // bytes per second
	Least    = int64(Rate * (Window / time.Second))
)

// Bucket is a store that takes uploads too.
type Bucket interface {
	artifact.Store
	artifact.Uploader
}

// Releases is s with a time for each answer. Errors of those that took longer
// are *Stalled.
func Releases(s artifact.ReleaseStore) artifact.ReleaseStore { return releases{s} }

// Store is s with a time for each answer, as Releases; uploads are passed on as
// they are.
func Store(s Bucket) Bucket { return bucket{Bucket: s, timed: releases{s}} }

// A Getter opens objects, as artifact.ReleaseStore does.
type Getter interface {
	Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error)
}

// Get opens n bytes of an object of s. Reading the object fails with *Stalled
// where it takes too long.
func Get(ctx context.Context, s Getter, name string, off, n int64) (*artifact.Object, error) {
	if path.Base(name) == artifact.TarballName && n != 0 {
		return getRated(ctx, s, name, off, n)
	}
	ctx, cancel := limit(ctx, Document, name, "reading")
	o, err := s.Get(ctx, name, off, n)
	if err != nil {
		defer cancel()
		return nil, blame(ctx, err)
	}
	o.ReadCloser = &document{ReadCloser: o.ReadCloser, ctx: ctx, cancel: cancel}
	return o, nil
}

// getRated leaves the time until the answer begins to the store, which may have
// to fetch all of an artifact first.
func getRated(ctx context.Context, s Getter, name string, off, n int64) (*artifact.Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	o, err := s.Get(ctx, name, off, n)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	slow := &Stalled{Doing: "reading", Name: name, Want: fmt.Sprintf("at least %d KiB in %v", Least>>10, Window)}
	o.ReadCloser = &rated{ReadCloser: o.ReadCloser, ctx: ctx, cancel: cancel, slow: slow, left: Window}
	return o, nil
}

func limit(ctx context.Context, d time.Duration, name, doing string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &Stalled{Doing: doing, Name: name, Want: fmt.Sprintf("the whole answer within %v", d)})
}

// blame says what ended ctx, where that was its own time.
func blame(ctx context.Context, err error) error {
	var slow *Stalled
	if err != nil && err != io.EOF && errors.As(context.Cause(ctx), &slow) {
		return slow
	}
	return err
}

// document is a body that ends with its context.
type document struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelFunc
}

func (d *document) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	return n, blame(d.ctx, err)
}

func (d *document) Close() error {
	defer d.cancel()
	return d.ReadCloser.Close()
}

// rated is a body with a least rate. Only the time in Read counts: whoever
// reads may be slow.
type rated struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	slow   *Stalled

	got  int64         // bytes of this window
	left time.Duration // of this window's waiting
}

func (r *rated) Read(p []byte) (int, error) {
	wait := r.left
	if r.got >= Least { // this window has what it needs: the read may take the next one too
		wait += Window
	}
	watch := time.AfterFunc(wait, func() { r.cancel(r.slow) })
	began := time.Now()
	n, err := r.ReadCloser.Read(p)
	watch.Stop()
	r.left -= time.Since(began)
	r.got += int64(n)
	if r.left > 0 || err != nil {
		return n, blame(r.ctx, err)
	}
	if r.got < Least {
		r.cancel(r.slow)
		return n, r.slow
	}
	r.got, r.left = 0, Window
	return n, nil
}

func (r *rated) Close() error {
	defer r.cancel(nil)
	return r.ReadCloser.Close()
}

// Stalled says that a store did not answer, or not fast enough.
type Stalled struct {
	Doing string // such as "reading"
	Name  string // object, or prefix of a listing
	Want  string // what was waited for
}

func (e *Stalled) Error() string {
	return fmt.Sprintf("%s %q: the store's answer stalled, want %s", e.Doing, e.Name, e.Want)
}

// Hint says how to go on.
func (e *Stalled) Hint() string {
	return "the same command again, and wpbake resume for a run that began; if it stalls again, look at the network and the proxies between here and the store"
}
