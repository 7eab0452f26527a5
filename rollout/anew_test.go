package rollout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

// atLock is something that happens between the observation before the lock and
// the one once it is held.
func atLock(happens func()) func(rollout.Step) {
	return func(s rollout.Step) {
		if s == rollout.StepLock {
			happens()
		}
	}
}

// What stands in the way only once the lock is held refuses the release all the
// same, and leaves the lock as it was.
func TestRefusedOnceTheLockIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.alarm("OK")
		w.released("v1")
		before, err := w.engine(rollout.Options{}).Status(w.ctx)
		w.must(before, err)
		history := w.outcomes()
		versions, refreshes := w.templateVersions(), w.refreshes()
		e := w.engine(rollout.Options{
			Refresh:   rollout.RefreshOptions{Alarms: []string{"errors"}},
			AfterStep: atLock(func() { w.alarm(cwtypes.StateValueAlarm) }),
		})
		digest := w.publish("v2")
		var refused *rollout.Refused
		if _, err := e.Release(w.ctx, to("v2", digest)); !errors.As(err, &refused) || refused.Findings[0].ID != "alarm/ringing" {
			t.Fatalf("got %v", err)
		}
		after, err := w.engine(rollout.Options{}).Status(w.ctx)
		w.must(after, err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the group's status changed:\n%s", diff)
		}
		if diff := cmp.Diff(history, w.outcomes()); diff != "" {
			t.Errorf("the history changed:\n%s", diff)
		}
		if w.templateVersions() != versions || w.refreshes() != refreshes {
			t.Error("something was left behind")
		}
		w.alarm("OK")
		if res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", digest)); err != nil || res.Outcome != rollout.Released {
			t.Errorf("afterwards: %+v, %v", res, err)
		}
	})
}

// The base of a release, which is its way back, is what the group has once the
// lock is held.
func TestBaseIsOfTheLastObservation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		before := w.saved()
		w.released("v1")
		e := w.engine(rollout.Options{AfterStep: atLock(func() {
			w.must(w.clients.AutoScaling().UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{
				AutoScalingGroupName: &w.group,
				LaunchTemplate:       &astypes.LaunchTemplateSpecification{LaunchTemplateName: awssdk.String("shop"), Version: &before},
			}))
		})})
		if res, err := e.Release(w.ctx, to("v2", w.publish("v2"))); err != nil || res.Outcome != rollout.Released {
			t.Fatalf("%+v, %v", res, err)
		}
		records, err := e.History(w.ctx)
		w.must(records, err)
		if base := records[0].Base; len(base) != 1 || base[0].Version != before {
			t.Errorf("the base is %+v, want version %s", base, before)
		}
	})
}

// So is what a rollback without a version goes to.
func TestWayBackIsOfTheLastObservation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.released("v1")
		w.released("v2")
		w.released("v3")
		e := w.engine(rollout.Options{AfterStep: atLock(func() { w.withdraw("v2") })})
		p, err := e.Plan(w.ctx, rollout.Intent{Kind: rollout.Rollback})
		w.must(p, err)
		if p.Intent.Version != "v2" {
			t.Fatalf("the plan goes to %s", p.Intent.Version)
		}
		refreshes := w.refreshes()
		res, err := e.Execute(w.ctx, p)
		if err != nil || res.Outcome != rollout.Released || res.Version != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v1")
		if n := w.refreshes() - refreshes; n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// withdraw takes a version out of those that a rollback goes to by itself.
func (w *world) withdraw(v artifact.Version) {
	w.t.Helper()
	name := artifact.RolloutPrefix(w.group) + "proven.json"
	o, err := w.store.Get(w.ctx, name, 0, -1)
	w.must(o, err)
	defer o.Close()
	var p rollout.Proven
	w.must(nil, json.NewDecoder(o).Decode(&p))
	for i := range p.Releases {
		if p.Releases[i].Version == v {
			p.Releases[i].Withdrawn = time.Now()
		}
	}
	b, err := json.Marshal(p)
	w.must(b, err)
	_, err = w.store.Put(w.ctx, name, artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}, artifact.Condition{})
	w.must(nil, err)
}

// A list of proven releases that cannot be read is no reason to leave a bad
// release under way.
func TestRollbackWithoutTheProvenList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.detached("v2")
		b := []byte("garbled")
		_, err := w.store.Put(w.ctx, artifact.RolloutPrefix(w.group)+"proven.json",
			artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}, artifact.Condition{})
		w.must(nil, err)
		res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back(""))
		if err != nil || res.Outcome != rollout.RolledBack || res.Serving != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		var unreadable *rollout.InterventionRequired
		if _, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("")); !errors.As(err, &unreadable) {
			t.Errorf("going on to a release of the list: %v", err)
		}
	})
}
