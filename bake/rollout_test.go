package bake_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
)

// released rolls a version out and demands that it ends released.
func (w *world) released(v artifact.Version) bake.Result {
	w.t.Helper()
	res, err := w.bake(bake.Options{}).Release(w.ctx, v, w.publish(v))
	if err != nil || res.Outcome != bake.Released {
		w.t.Fatalf("releasing %s: %+v, %v", v, res, err)
	}
	return res
}

// saved is the number of the template version saved on the group.
func (w *world) saved() string { return w.state().Templates[0].Version }

// provenOn demands that every node runs v, by AWS and by its own report.
func (w *world) provenOn(v artifact.Version) {
	w.t.Helper()
	st, err := w.bake(bake.Options{}).Status(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if !st.Proven || st.Version != v {
		w.t.Errorf("the group runs %q, proven %v: %v", st.Version, st.Proven, st.Missing)
	}
}

// templateVersions and refreshes count what was made so far.
func (w *world) templateVersions() int {
	w.t.Helper()
	vs, err := w.clients.Cloud().Templates.Versions(w.ctx, w.state().Templates[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(vs)
}

func (w *world) refreshes() int {
	w.t.Helper()
	rs, err := w.clients.Cloud().Refreshes.Refreshes(w.ctx, w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(rs)
}

func TestReleaseThousandNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1000)
		began := time.Now()
		res, err := w.bake(bake.Options{Poll: 30 * time.Second}).Release(w.ctx, "v1", w.publish("v1"))
		if err != nil || res.Outcome != bake.Released {
			t.Fatalf("%+v, %v", res, err)
		}
		if res.Nodes != 1000 {
			t.Errorf("%d nodes proven", res.Nodes)
		}
		t.Logf("1000 nodes in %s of virtual time", time.Since(began))
	})
}

func TestReleaseTwiceDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		first := w.released("v1")
		versions, refreshes := w.templateVersions(), w.refreshes()
		res, err := w.bake(bake.Options{}).Release(w.ctx, "v1", first.Manifest)
		if err != nil || res.Outcome != bake.Already {
			t.Fatalf("again: %+v, %v", res, err)
		}
		if w.templateVersions() != versions || w.refreshes() != refreshes {
			t.Error("the second release left something behind")
		}
	})
}

// Terraform's AWS provider saved the new template version on the group before
// it refreshed, so that a rollback went back to the broken version. See
// hashicorp/terraform-provider-aws issue 34189.
func TestTerraformIssue34189(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		before := w.saved()
		w.fleet.bad = map[artifact.Version]string{"v2": "PHP Parse error: syntax error in broken.php on line 5"}
		w.watchSaved(before)
		res, err := w.bake(bake.Options{}).Release(w.ctx, "v2", w.publish("v2"))
		if err != nil || res.Outcome != bake.RolledBack {
			t.Fatalf("%+v, %v", res, err)
		}
		if !strings.Contains(res.Cause, "broken.php on line 5") || res.Serving != "v1" {
			t.Errorf("result %+v", res)
		}
		if w.saved() != before {
			t.Errorf("saved version is %s, was %s", w.saved(), before)
		}
		for _, n := range w.state().Nodes {
			if n.Template.Version != before && !strings.HasPrefix(n.Lifecycle, "Terminating") {
				t.Errorf("node %s (%s) runs template version %s", n.ID, n.Lifecycle, n.Template.Version)
			}
		}
		w.provenOn("v1")
		if _, err := w.store.Get(w.ctx, artifact.RolloutPrefix("shop")+res.Run+"/evidence/"+res.BadNode+".json", 0, -1); err != nil {
			t.Errorf("evidence: %v", err)
		}
	})
}

// watchSaved fails the test when the saved version is ever another one.
func (w *world) watchSaved(want string) {
	w.t.Helper()
	go func() {
		for w.ctx.Err() == nil {
			g, err := w.clients.Cloud().Groups.Group(w.ctx, w.group)
			if err == nil && g.Templates[0].Version != want {
				w.t.Errorf("saved version became %s", g.Templates[0].Version)
				return
			}
			wait(w.ctx, 5*time.Second)
		}
	}()
}

func TestReleaseWithBadNodes(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*fleet)
		says   string
		within time.Duration
	}{
		{"gate fails", func(f *fleet) { f.bad = map[artifact.Version]string{"v2": "status 500"} }, "status 500", 10 * time.Minute},
		{"says nothing", func(f *fleet) { f.silent = map[artifact.Version]bool{"v2": true} }, "proven itself", 30 * time.Minute},
		{"sick in service", func(f *fleet) { f.sick = map[artifact.Version]bool{"v2": true} }, "unhealthy", 20 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.released("v1")
				tt.spoil(w.fleet)
				began := time.Now()
				res, err := w.bake(bake.Options{}).Release(w.ctx, "v2", w.publish("v2"))
				if err != nil || res.Outcome != bake.RolledBack || !strings.Contains(res.Cause, tt.says) {
					t.Fatalf("%+v, %v", res, err)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("took %s", took)
				}
				w.provenOn("v1")
			})
		})
	}
}

func TestRollbackGoesToProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.released("v2")
		w.fleet.bad = map[artifact.Version]string{"v3": "boom"}
		if res, err := w.bake(bake.Options{}).Release(w.ctx, "v3", w.publish("v3")); err != nil || res.Outcome != bake.RolledBack {
			t.Fatalf("v3: %+v, %v", res, err)
		}
		res, err := w.bake(bake.Options{}).Rollback(w.ctx, "")
		if err != nil || res.Outcome != bake.Released || res.Version != "v1" {
			t.Fatalf("rolling back: %+v, %v", res, err)
		}
		w.provenOn("v1")
		var none *bake.NotProven
		if _, err := w.bake(bake.Options{}).Rollback(w.ctx, ""); !errors.As(err, &none) {
			t.Errorf("a second rollback: %v", err)
		}
		if _, err := w.bake(bake.Options{}).Rollback(w.ctx, "v3"); !errors.As(err, &none) {
			t.Errorf("to a release that never passed: %v", err)
		}
	})
}

// A run that is killed right after any step is continued by the same command
// and leaves one template version and one refresh; a third run does nothing.
func TestKilledAfterEachStep(t *testing.T) {
	for _, step := range []bake.Step{bake.StepLock, bake.StepRecord, bake.StepTemplate, bake.StepRefresh, bake.StepVerdict, bake.StepSettled, bake.StepProven, bake.StepDone} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.released("v1")
				digest := w.publish("v2")
				versions, refreshes := w.templateVersions(), w.refreshes()
				if !w.killedAfter(step, "v2", digest) {
					t.Fatalf("the run never reached step %s", step)
				}
				res, err := w.bake(bake.Options{Holder: bake.Holder{Name: "second"}}).Release(w.ctx, "v2", digest)
				if err != nil || res.Outcome != bake.Released && res.Outcome != bake.Already {
					t.Fatalf("second run: %+v, %v", res, err)
				}
				if a, b := w.templateVersions()-versions, w.refreshes()-refreshes; a != 1 || b != 1 {
					t.Errorf("%d template versions and %d refreshes were made", a, b)
				}
				w.provenOn("v2")
				res, err = w.bake(bake.Options{Holder: bake.Holder{Name: "third"}}).Release(w.ctx, "v2", digest)
				if err != nil || res.Outcome != bake.Already {
					t.Errorf("third run: %+v, %v", res, err)
				}
			})
		})
	}
}

// killedAfter performs a release whose process dies after a step: it cleans
// nothing up.
func (w *world) killedAfter(step bake.Step, v artifact.Version, d artifact.Digest) (died bool) {
	type killed struct{}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			died = true
		}
	}()
	_, _ = w.bake(bake.Options{Holder: bake.Holder{Name: "first"}, AfterStep: func(s bake.Step) {
		if s == step {
			panic(killed{})
		}
	}}).Release(w.ctx, v, d)
	return false
}

func TestRefreshCancelledBySomebody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		go func() {
			for w.ctx.Err() == nil {
				rs, err := w.clients.Cloud().Refreshes.Refreshes(w.ctx, w.group)
				if err == nil && rs[0].Active() && rs[0].Percent > 0 {
					if err := w.clients.Cloud().Refreshes.Cancel(w.ctx, w.group); err != nil {
						t.Error(err)
					}
					return
				}
				wait(w.ctx, 5*time.Second)
			}
		}()
		var person *bake.PersonNeeded
		_, err := w.bake(bake.Options{}).Release(w.ctx, "v2", w.publish("v2"))
		if !errors.As(err, &person) || !strings.Contains(err.Error(), "mixed") {
			t.Fatalf("got %v", err)
		}
		res, err := w.bake(bake.Options{}).Rollback(w.ctx, "")
		if err != nil || res.Version != "v1" {
			t.Fatalf("rolling back: %+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

func TestRollbackDuringRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		if _, err := w.bake(bake.Options{Detach: true}).Release(w.ctx, "v2", digest); err != nil {
			t.Fatal(err)
		}
		res, err := w.bake(bake.Options{Holder: bake.Holder{Name: "second"}}).Rollback(w.ctx, "")
		if err != nil || res.Outcome != bake.RolledBack || res.Serving != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

func TestTwoReleasesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		other := w.publish("v3")
		versions, refreshes := w.templateVersions(), w.refreshes()
		ends := make(chan error, 2)
		for i := range 2 {
			b := w.bake(bake.Options{Holder: bake.Holder{Name: fmt.Sprint("ci-", i)}})
			go func() {
				_, err := b.Release(w.ctx, "v2", digest)
				ends <- err
			}()
		}
		wait(w.ctx, time.Minute)
		var busy *bake.Busy
		if _, err := w.bake(bake.Options{Holder: bake.Holder{Name: "other"}}).Release(w.ctx, "v3", other); !errors.As(err, &busy) {
			t.Errorf("another version meanwhile: %v", err)
		}
		for range 2 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
		if a, b := w.templateVersions()-versions, w.refreshes()-refreshes; a != 1 || b != 1 {
			t.Errorf("%d template versions and %d refreshes were made", a, b)
		}
		w.provenOn("v2")
	})
}

func TestSupersede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		if _, err := w.bake(bake.Options{Detach: true}).Release(w.ctx, "v2", w.publish("v2")); err != nil {
			t.Fatal(err)
		}
		digest := w.publish("v3")
		var open *bake.Unfinished
		if _, err := w.bake(bake.Options{}).Release(w.ctx, "v3", digest); !errors.As(err, &open) {
			t.Errorf("over an unfinished run: %v", err)
		}
		res, err := w.bake(bake.Options{OnBusy: bake.Supersede}).Release(w.ctx, "v3", digest)
		if err != nil || res.Outcome != bake.Released {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v3")
	})
}
