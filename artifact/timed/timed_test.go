package timed_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/storetest"
	"github.com/wpbake/wpbake/artifact/timed"
)

// dripping is a store that gives some bytes, then waits; it never begins to
// answer what is no Get.
type dripping struct {
	artifacttest.Memory
	bytes int
	every time.Duration // 0: it gives nothing at all
}

func (s dripping) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	o, err := s.Memory.Get(ctx, name, off, n)
	if err == nil {
		o.ReadCloser = drip{ctx, o.ReadCloser, s}
	}
	return o, err
}

func (s dripping) List(ctx context.Context, _ string) ([]artifact.Stat, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s dripping) Put(ctx context.Context, _ string, _ artifact.Body, _ artifact.Condition) (artifact.Stat, error) {
	<-ctx.Done()
	return artifact.Stat{}, ctx.Err()
}

func (s dripping) Delete(ctx context.Context, _ string, _ artifact.Condition) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s dripping) Upload(context.Context, string) (artifact.Upload, error) {
	return nil, errors.ErrUnsupported
}
func (s dripping) Sweep(context.Context, string) error { return nil }

type drip struct {
	ctx context.Context
	io.ReadCloser
	dripping
}

func (d drip) Read(p []byte) (int, error) {
	var tick <-chan time.Time
	if d.every > 0 {
		tick = time.After(d.every)
	}
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-tick:
		return d.ReadCloser.Read(p[:min(len(p), d.bytes)])
	}
}

const object = "releases/v1/manifest.json"

func body(store artifact.ReleaseStore, name string) error {
	o, err := store.Get(context.Background(), name, 0, -1)
	if err != nil {
		return err
	}
	defer o.Close()
	_, err = io.Copy(io.Discard, o)
	return err
}

// Each call of a store that stalls or drips ends after its time with an error
// that names the object, what was waited for and how to go on.
func TestStoreThatStalls(t *testing.T) {
	t.Parallel()
	documents := artifacttest.Memory{object: make([]byte, 64<<10), artifacttest.TarballObject: make([]byte, 8<<20)}
	silent := timed.Store(dripping{Memory: documents})
	for name, c := range map[string]struct {
		do    func() error
		after time.Duration
		says  string
	}{
		"silent document":    {func() error { return body(silent, object) }, timed.Document, `reading "` + object},
		"dripping document":  {func() error { return body(timed.Store(dripping{documents, 1, time.Second}), object) }, timed.Document, `reading "` + object},
		"release's document": {func() error { return body(timed.Releases(dripping{Memory: documents}), object) }, timed.Document, object},
		"silent artifact":    {func() error { return body(silent, artifacttest.TarballObject) }, timed.Window, "320 KiB in 20s"},
		"dripping artifact": {func() error {
			return body(timed.Store(dripping{documents, 6 << 10, 400 * time.Millisecond}), artifacttest.TarballObject)
		}, timed.Window, artifacttest.TarballObject},
		"listing": {func() error { _, err := silent.List(context.Background(), "releases/"); return err }, timed.Listing, `listing "releases/"`},
		"write": {func() error {
			_, err := silent.Put(context.Background(), object, storetest.Body(nil), artifact.Condition{})
			return err
		}, 2 * timed.Document, `writing "` + object},
		"deletion": {func() error { return silent.Delete(context.Background(), object, artifact.Condition{}) }, timed.Document, `deleting "` + object},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := c.do()
				var stalled *timed.Stalled
				if !errors.As(err, &stalled) || !strings.Contains(err.Error(), c.says) || stalled.Hint() == "" {
					t.Errorf("%v", err)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %v, want %v", took, c.after)
				}
			})
		})
	}
}

// An artifact a little above the least rate arrives, however long that takes, and so does
// one whose reader is slow.
func TestSlowArtifactArrives(t *testing.T) {
	t.Parallel()
	content := artifacttest.Memory{artifacttest.TarballObject: make([]byte, 4<<20)}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := body(timed.Releases(dripping{content, 8 << 10, 400 * time.Millisecond}), artifacttest.TarballObject); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 2*time.Minute {
			t.Errorf("it took %v: the store did not drip", took)
		}
		o, err := timed.Releases(dripping{content, 1 << 10, time.Millisecond}).Get(t.Context(), artifacttest.TarballObject, 0, 10<<10)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		for range 10 {
			time.Sleep(time.Minute) // the reader's own, in virtual time
			if _, err := o.Read(make([]byte, 1<<10)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Who reads hears of his own interrupt, not of a stall.
func TestInterruptIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		store := timed.Releases(dripping{Memory: artifacttest.Memory{object: []byte("{}")}})
		o, err := store.Get(ctx, object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if _, err := io.ReadAll(o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the caller's own deadline", err)
		}
	})
}
