package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
)

// siteDatabase is the database of a simulated site. It knows nothing of
// WordPress but what its own number means.
type siteDatabase struct {
	w *world

	mu      sync.Mutex
	state   database.State
	codes   map[artifact.Digest]int // schema of each published version
	steps   int                     // that changed it
	away    error                   // why it cannot be reached
	fails   error                   // why a step fails
	answers error                   // a step is done, and its answer is lost
	takes   time.Duration           // a step
	log     []string
}

func newSiteDatabase(w *world, schema int) *siteDatabase {
	return &siteDatabase{w: w, codes: map[artifact.Digest]int{}, takes: 10 * time.Minute,
		state: database.State{Schema: schema, Users: 12, Stylesheet: "shop", Template: "shop"}}
}

func (s *siteDatabase) Database(context.Context, string) (database.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.away
}

func (s *siteDatabase) UpgradeSchema(ctx context.Context, instance string, manifest artifact.Digest) (node.Schema, error) {
	select {
	case <-ctx.Done():
		return node.Schema{}, ctx.Err()
	case <-time.After(s.takes):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil || s.fails != nil {
		return node.Schema{}, errors.Join(s.away, s.fails)
	}
	done := node.Schema{Before: s.state.Schema, After: s.codes[manifest]}
	if done.Before < done.After {
		done.Ran = true
		s.steps++
		s.log = append(s.log, fmt.Sprintf("step %d", done.After))
		s.state.Schema = done.After
	}
	return done, s.answers
}

func (s *siteDatabase) snapshot(_ context.Context, r rollout.Record) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, "snapshot")
	return "snap-" + r.Run, nil
}

func (s *siteDatabase) change(f func(*siteDatabase)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// publish publishes a version that is a WordPress.
func (s *siteDatabase) publish(v artifact.Version, core string, schema int) artifact.Digest {
	s.w.t.Helper()
	tree, out := s.w.t.TempDir(), s.w.t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "index.php"), []byte("<?php // "+v), 0o644); err != nil {
		s.w.t.Fatal(err)
	}
	built, err := build.Build(s.w.ctx, build.Options{Tree: tree, Out: out, Version: v, Described: build.Description{WordPress: &artifact.WordPress{
		Core: core, DBVersion: schema, Layout: wordpress.Classic, Themes: []artifact.Component{{Slug: "shop", Name: "Shop"}}}}})
	s.w.must(nil, err)
	_, err = build.Publish(s.w.ctx, s.w.store, built.Dir, nil)
	s.w.must(nil, err)
	s.change(func(s *siteDatabase) { s.codes[built.Digest] = schema })
	return built.Digest
}

func (s *siteDatabase) release(v artifact.Version, digest artifact.Digest, o rollout.Options) (rollout.Result, error) {
	o.Site, o.Snapshot = s, s.snapshot
	return s.w.engine(o).Release(s.w.ctx, to(v, digest))
}

func (s *siteDatabase) releaseAccepting(v artifact.Version, digest artifact.Digest) (rollout.Result, error) {
	return s.w.engine(rollout.Options{Site: s, Snapshot: s.snapshot}).Release(s.w.ctx, rollout.Intent{Version: v, Manifest: digest, AcceptIncompatible: true})
}

func (s *siteDatabase) rollback(v artifact.Version, accept bool) (rollout.Result, error) {
	return s.w.engine(rollout.Options{Site: s}).Rollback(s.w.ctx, rollout.Intent{Version: v, AcceptIncompatible: accept})
}

// twoCores is a world that went from WordPress 6.1 to 6.8.
func twoCores(t *testing.T) (*world, *siteDatabase) {
	w := newWorld(t, 3)
	s := newSiteDatabase(w, 53496)
	for _, r := range []struct {
		v      artifact.Version
		core   string
		schema int
	}{{"v41", "6.1.9", 53496}, {"v42", "6.8.12", 60421}} {
		res, err := s.release(r.v, s.publish(r.v, r.core, r.schema), rollout.Options{})
		if err != nil || res.Outcome != rollout.Released {
			t.Fatalf("releasing %s: %+v, %v", r.v, res, err)
		}
	}
	return w, s
}

func TestSchemaFollowsTheRoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, s := twoCores(t)
		s.change(func(s *siteDatabase) {
			if got := strings.Join(s.log, ", "); got != "snapshot, step 60421" {
				t.Errorf("what was done: %s", got)
			}
		})
	})
}

// A rollback over the change of password hashes in 6.8 is refused with the number of users, and
// changes nothing; with the word of a person it goes through.
func TestRollbackOverIncompatibility(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := twoCores(t)
		s.change(func(s *siteDatabase) { s.state.NewHashes = 3 })
		refreshes, saved := w.refreshes(), w.saved()
		_, err := s.rollback("", false)
		var refused *rollout.Incompatible
		if !errors.As(err, &refused) || refused.Version != "v41" || len(refused.Incompatibilities) != 2 || refused.Incompatibilities[0].Count != 3 {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(err.Error(), "3 of 12 users") || w.refreshes() != refreshes || w.saved() != saved {
			t.Errorf("%v; %d refreshes, saved %s", err, w.refreshes(), w.saved())
		}
		res, err := s.rollback("", true)
		if err != nil || res.Outcome != rollout.Released || len(res.Incompatibilities) != 2 {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v41")
		s.change(func(s *siteDatabase) {
			if s.state.Schema != 60421 || s.steps != 1 {
				t.Errorf("the rollback touched the database: schema %d after %d steps", s.state.Schema, s.steps)
			}
		})
		runs, err := w.engine(rollout.Options{}).History(w.ctx)
		w.must(nil, err)
		if !runs[0].Accepted || len(runs[0].Incompatibilities) != 2 {
			t.Errorf("the record says %+v", runs[0])
		}
	})
}

// Out of reach, the database counts as having gone where the trees say it may.
func TestRollbackWithoutDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := twoCores(t)
		res, err := s.release("v43", s.publish("v43", "6.8.13", 60421), rollout.Options{})
		if err != nil || res.Schema != nil {
			t.Fatalf("%+v, %v", res, err)
		}
		s.change(func(s *siteDatabase) { s.away = errors.New("no route to host") })
		if res, err := s.rollback("v42", false); err != nil || res.Outcome != rollout.Released {
			t.Errorf("between equal schemas: %+v, %v", res, err)
		}
		var refused *rollout.Incompatible
		if _, err := s.rollback("v41", false); !errors.As(err, &refused) || !strings.Contains(err.Error(), "could not be counted") {
			t.Errorf("over the change: %v", err)
		}
		w.provenOn("v42")
	})
}

// The way back from a bad release is never refused: no schema step has run.
func TestBadReleaseGoesBackByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		s := newSiteDatabase(w, 53496)
		if _, err := s.release("v41", s.publish("v41", "6.1.9", 53496), rollout.Options{}); err != nil {
			t.Fatal(err)
		}
		w.fleet.behave(func(f *fleet) { f.sick = map[artifact.Version]bool{"v42": true} })
		go func() {
			wait(w.ctx, 3*time.Minute) // somebody logs in on the first new node
			s.change(func(s *siteDatabase) { s.state.NewHashes = 1 })
		}()
		res, err := s.release("v42", s.publish("v42", "6.8.12", 60421), rollout.Options{})
		if err != nil || res.Outcome != rollout.RolledBack || len(res.Incompatibilities) != 1 || res.Incompatibilities[0].Count != 1 {
			t.Errorf("%+v, %v", res, err)
		}
		w.provenOn("v41")
		s.change(func(s *siteDatabase) {
			if s.steps != 0 || len(s.log) != 0 {
				t.Errorf("the database was touched: %v", s.log)
			}
		})
	})
}

// A release of older code is a rollback by another name.
func TestReleaseOfOlderCore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := twoCores(t)
		old := s.publish("v43", "6.1.9", 53496)
		var refused *rollout.Incompatible
		if _, err := s.release("v43", old, rollout.Options{}); !errors.As(err, &refused) {
			t.Errorf("got %v", err)
		}
		if res, err := s.releaseAccepting("v43", old); err != nil || res.Schema != nil {
			t.Errorf("%+v, %v", res, err)
		}
		w.provenOn("v43")
		s.change(func(s *siteDatabase) {
			if s.state.Schema != 60421 {
				t.Errorf("schema %d", s.state.Schema)
			}
		})
	})
}

// A failed snapshot stops the step, a failed step needs a person, and resume
// goes on where it stopped.
func TestSchemaStepFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		s := newSiteDatabase(w, 53496)
		if _, err := s.release("v41", s.publish("v41", "6.1.9", 53496), rollout.Options{}); err != nil {
			t.Fatal(err)
		}
		full := func(context.Context, rollout.Record) (string, error) { return "", errors.New("quota exceeded") }
		digest := s.publish("v42", "6.8.12", 60421)
		_, err := w.engine(rollout.Options{Site: s, Snapshot: full}).Release(w.ctx, to("v42", digest))
		var intervention *rollout.InterventionRequired
		if !errors.As(err, &intervention) || !strings.Contains(err.Error(), "quota exceeded") {
			t.Fatalf("got %v", err)
		}
		w.provenOn("v42")
		s.change(func(s *siteDatabase) {
			if s.steps != 0 {
				t.Error("the step ran without a snapshot")
			}
			s.fails = errors.New("disk full")
		})
		if _, err = s.release("v42", digest, rollout.Options{}); !errors.As(err, &intervention) || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("got %v", err)
		}
		s.change(func(s *siteDatabase) { s.fails = nil })
		res, err := w.engine(rollout.Options{Site: s, Snapshot: s.snapshot}).Resume(w.ctx)
		if err != nil || res.Outcome != rollout.Released || res.Schema == nil || res.Schema.After != 60421 || res.Snapshot == "" {
			t.Errorf("%+v, %v", res, err)
		}
		if len(s.log) != 2 || w.refreshes() != 2 {
			t.Errorf("what was done: %v, %d refreshes", s.log, w.refreshes())
		}
	})
}

// The step's answer is lost: asked again it finds what it did.
func TestSchemaAnswerLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		s := newSiteDatabase(w, 53496)
		if _, err := s.release("v41", s.publish("v41", "6.1.9", 53496), rollout.Options{}); err != nil {
			t.Fatal(err)
		}
		s.answers = errors.New("connection reset")
		digest := s.publish("v42", "6.8.12", 60421)
		if _, err := s.release("v42", digest, rollout.Options{}); err == nil {
			t.Fatal("the lost answer went unnoticed")
		}
		s.change(func(s *siteDatabase) { s.answers = nil })
		res, err := s.release("v42", digest, rollout.Options{})
		if err != nil || res.Schema == nil || res.Schema.Before != 53496 || s.steps != 1 {
			t.Errorf("%+v, %v, %d steps", res, err, s.steps)
		}
	})
}

// Killed after each step of a release that raises the schema, the same command
// ends it with one step.
func TestKilledAroundTheSchemaStep(t *testing.T) {
	for _, at := range []rollout.Step{rollout.StepLock, rollout.StepRecord, rollout.StepSettled, rollout.StepProven, rollout.StepSnapshot, rollout.StepSchema} {
		t.Run(string(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				s := newSiteDatabase(w, 53496)
				if _, err := s.release("v41", s.publish("v41", "6.1.9", 53496), rollout.Options{}); err != nil {
					t.Fatal(err)
				}
				digest := s.publish("v42", "6.8.12", 60421)
				ctx, kill := context.WithCancel(w.ctx)
				_, err := w.engine(rollout.Options{Site: s, Snapshot: s.snapshot, AfterStep: func(step rollout.Step) {
					if step == at {
						kill()
					}
				}}).Release(ctx, to("v42", digest))
				if err == nil {
					t.Fatal("it was not killed")
				}
				res, err := s.release("v42", digest, rollout.Options{})
				if err != nil || res.Outcome != rollout.Released && res.Outcome != rollout.UpToDate {
					t.Fatalf("%+v, %v", res, err)
				}
				if got := strings.Join(s.log, ", "); got != "snapshot, step 60421" || w.refreshes() != 2 {
					t.Errorf("what was done: %s; %d refreshes", got, w.refreshes())
				}
			})
		})
	}
}

// A theme that the database names and the release lacks stops it.
func TestReleaseWithoutTheTheme(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := twoCores(t)
		s.change(func(s *siteDatabase) { s.state.Stylesheet = "child" })
		_, err := s.release("v43", s.publish("v43", "6.8.12", 60421), rollout.Options{})
		if err == nil || !strings.Contains(err.Error(), "X05 theme: theme child") {
			t.Errorf("got %v", err)
		}
		w.provenOn("v42")
	})
}
