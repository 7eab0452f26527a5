package rollout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

// forge writes a document as somebody would who can only write the bucket.
func (w *world) forge(name string, v any) {
	w.t.Helper()
	b, ok := v.([]byte)
	if !ok {
		var err error
		b, err = json.Marshal(v)
		w.must(b, err)
	}
	_, err := w.store.Put(w.ctx, artifact.RolloutPrefix(w.group)+name,
		artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}, artifact.Condition{})
	w.must(nil, err)
}

// forgedRun is a lock that nobody holds and the record of the run in it, which
// is an honest one but for the change.
func (w *world) forgedRun(kind rollout.Kind, v artifact.Version, manifest artifact.Digest, change func(*rollout.Record)) {
	w.t.Helper()
	const run = "20260101T000000Z-f00d00"
	w.forge("lock.json", rollout.Lock{Format: 1, Fence: 70, Run: run, Kind: kind, Version: v, Manifest: manifest})
	rec := rollout.Record{Format: 1, Run: run, Kind: kind, Group: w.group, Store: storeURL, Version: v, Manifest: manifest,
		Base: w.state().Templates, Started: time.Now().UTC()}
	change(&rec)
	w.forge(run+"/record.json", rec)
}

// A record decides nothing that was not asked for: neither another version, nor
// another kind, nor another group's.
func TestRecordThatIsNotTheLocks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rollout.Record, artifact.Digest){
		"another version": func(r *rollout.Record, d artifact.Digest) { r.Kind, r.Version, r.Manifest = rollout.Release, "v66", d },
		"another digest":  func(r *rollout.Record, d artifact.Digest) { r.Manifest = d },
		"another kind":    func(r *rollout.Record, _ artifact.Digest) { r.Kind = rollout.Release },
		"another group's": func(r *rollout.Record, _ artifact.Digest) { r.Group = "magazine" },
		"empty":           func(r *rollout.Record, _ artifact.Digest) { *r = rollout.Record{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				d1 := w.released("v1").Manifest
				w.released("v2")
				hostile := w.publish("v66")
				w.forgedRun(rollout.Rollback, "v1", d1, func(r *rollout.Record) { change(r, hostile) })
				res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("v1"))
				if err != nil || res.Version != "v1" || res.Outcome != rollout.Released {
					t.Errorf("%+v, %v", res, err)
				}
				w.provenOn("v1")
			})
		})
	}
}

// What a record would have new nodes launch from, attach or become is compared
// with what was asked and with what AWS has, before anything is made of it.
func TestRecordThatSteers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rollout.Record){
		"image":     func(r *rollout.Record) { r.Image = "ami-0badbadbadbadbad0" },
		"volume":    func(r *rollout.Record) { r.Volume = &rollout.Volume{Snapshot: "snap-0badbadbadbadbad0"} },
		"templates": func(r *rollout.Record) { r.Templates = r.Base },
		"schema":    func(r *rollout.Record) { r.Code = 99999 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.released("v1")
				d2 := w.publish("v2")
				w.forgedRun(rollout.Release, "v2", d2, change)
				versions, refreshes := w.templateVersions(), w.refreshes()
				e := w.engine(rollout.Options{})
				var doubted *rollout.InterventionRequired
				if _, err := e.Resume(w.ctx); !errors.As(err, &doubted) {
					t.Errorf("resume: %v", err)
				}
				if _, err := e.Release(w.ctx, to("v2", d2)); !errors.As(err, &doubted) {
					t.Errorf("release: %v", err)
				}
				if w.templateVersions() != versions || w.refreshes() != refreshes {
					t.Error("something was made of it")
				}
				w.provenOn("v1")
			})
		})
	}
}

// A run goes out from what the group has saved, or makes nothing.
func TestRecordOfAnotherBase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.released("v1")
		d2 := w.publish("v2")
		w.forgedRun(rollout.Release, "v2", d2, func(r *rollout.Record) { r.Base[0].Version = "1" })
		versions, refreshes := w.templateVersions(), w.refreshes()
		var untouched *rollout.FailedUntouched
		if _, err := w.engine(rollout.Options{}).Resume(w.ctx); !errors.As(err, &untouched) {
			t.Errorf("resume: %v", err)
		}
		if w.templateVersions() != versions || w.refreshes() != refreshes {
			t.Error("something was made of it")
		}
		w.provenOn("v1")
	})
}

// A garbled lock stops a release; the way back takes it over.
func TestGarbledLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.released("v1")
		w.released("v2")
		w.forge("lock.json", []byte("x"))
		var garbled *rollout.InterventionRequired
		if _, err := w.engine(rollout.Options{}).Release(w.ctx, to("v3", w.publish("v3"))); !errors.As(err, &garbled) {
			t.Errorf("release: %v", err)
		}
		res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("v1"))
		if err != nil || res.Outcome != rollout.Released {
			t.Errorf("%+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}
