package rollout_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/rollout"
)

// released rolls a version out and demands that it ends released.
func (w *world) released(v artifact.Version) rollout.Result {
	w.t.Helper()
	res, err := w.engine(rollout.Options{}).Release(w.ctx, to(v, w.publish(v)))
	if err != nil || res.Outcome != rollout.Released {
		w.t.Fatalf("releasing %s: %+v, %v", v, res, err)
	}
	return res
}

// saved is the number of the template version saved on the group.
func (w *world) saved() string { return w.state().Templates[0].Version }

// provenOn demands that every node runs v, by AWS and by its own report.
func (w *world) provenOn(v artifact.Version) {
	w.t.Helper()
	st, err := w.engine(rollout.Options{}).Status(w.ctx)
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
	t.Parallel()
	size := 1000 // in make check and in make soak
	if tier.Racing() && !tier.Soaking() {
		size = 200
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size)
		began := time.Now()
		res, err := w.engine(rollout.Options{Poll: 30 * time.Second}).Release(w.ctx, to("v1", w.publish("v1")))
		if err != nil || res.Outcome != rollout.Released {
			t.Fatalf("%+v, %v", res, err)
		}
		if res.Nodes != size {
			t.Errorf("%d nodes proven", res.Nodes)
		}
		t.Logf("%d nodes in %s of virtual time", size, time.Since(began))
	})
}

// A group of one is refreshed by launching first: it always has a node.
func TestReleaseGroupOfOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		go func() {
			for w.ctx.Err() == nil {
				if g, err := w.clients.Cloud().Groups.Group(w.ctx, w.group); err == nil && countInService(g) == 0 {
					t.Error("the group had no node in service")
					return
				}
				wait(w.ctx, time.Second)
			}
		}()
		w.released("v1")
	})
}

// mixed gives the group a policy whose second override has a template of its
// own.
func mixed(in *autoscaling.CreateAutoScalingGroupInput) {
	spec := func(name string) *astypes.LaunchTemplateSpecification {
		return &astypes.LaunchTemplateSpecification{LaunchTemplateName: &name, Version: awssdk.String("1")}
	}
	in.LaunchTemplate = nil
	in.MixedInstancesPolicy = &astypes.MixedInstancesPolicy{
		LaunchTemplate: &astypes.LaunchTemplate{
			LaunchTemplateSpecification: spec("shop"),
			Overrides: []astypes.LaunchTemplateOverrides{
				{InstanceType: awssdk.String("t3.small")},
				{InstanceType: awssdk.String("t4g.small"), LaunchTemplateSpecification: spec("shop-arm")},
			},
		},
		InstancesDistribution: &astypes.InstancesDistribution{OnDemandBaseCapacity: awssdk.Int32(1), OnDemandPercentageAboveBaseCapacity: awssdk.Int32(50)},
	}
}

func TestReleaseMixedInstances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, mixed)
		if res := w.released("v1"); len(res.Templates) != 2 {
			t.Errorf("template versions %+v", res.Templates)
		}
		w.provenOn("v1")
		before := w.state().Templates
		w.fleet.behave(func(f *fleet) { f.bad = map[artifact.Version]string{"v2": "boom"} })
		if res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", w.publish("v2"))); err != nil || res.Outcome != rollout.RolledBack {
			t.Fatalf("v2: %+v, %v", res, err)
		}
		w.provenOn("v1")
		if after := w.state(); !after.Mixed || !reflect.DeepEqual(after.Templates, before) {
			t.Errorf("the policy was %+v, is %+v", before, after.Templates)
		}
		out, err := w.clients.AutoScaling().DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{w.group}})
		w.must(out, err)
		if d := out.AutoScalingGroups[0].MixedInstancesPolicy.InstancesDistribution; awssdk.ToInt32(d.OnDemandPercentageAboveBaseCapacity) != 50 {
			t.Errorf("instances distribution is %+v", d)
		}
	})
}

// The first release of a group goes back to what ran before wpbake.
func TestFirstReleaseRolledBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.fleet.behave(func(f *fleet) { f.sick = map[artifact.Version]bool{"v1": true} })
		before := w.saved()
		res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v1", w.publish("v1")))
		if err != nil || res.Outcome != rollout.RolledBack || res.Serving != "" {
			t.Fatalf("%+v, %v", res, err)
		}
		if w.saved() != before || w.inService() != 3 {
			t.Errorf("saved version %s, was %s, %d nodes in service", w.saved(), before, w.inService())
		}
	})
}

// An alarm that rings during the refresh rolls it back, and a rollback does
// not ask for it.
func TestAlarmRings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.alarm("OK")
		w.released("v1")
		w.released("v2")
		watched := rollout.Options{Refresh: rollout.RefreshOptions{Alarms: []string{"errors"}}}
		go func() {
			for w.ctx.Err() == nil {
				if rs, err := w.clients.Cloud().Refreshes.Refreshes(w.ctx, w.group); err == nil && rs[0].Active() && rs[0].Percent > 0 {
					w.alarm("ALARM")
					return
				}
				wait(w.ctx, 5*time.Second)
			}
		}()
		res, err := w.engine(watched).Release(w.ctx, to("v3", w.publish("v3")))
		if err != nil || res.Outcome != rollout.RolledBack {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v2")
		if _, err := w.store.Get(w.ctx, res.Evidence+"refresh.json", 0, -1); err != nil {
			t.Errorf("evidence: %v", err)
		}
		var refused *rollout.Refused
		if _, err := w.engine(watched).Release(w.ctx, to("v4", w.publish("v4"))); !errors.As(err, &refused) {
			t.Errorf("releasing while the alarm rings: %v", err)
		}
		if res, err := w.engine(watched).Rollback(w.ctx, back("")); err != nil || res.Version != "v1" {
			t.Errorf("rolling back while the alarm rings: %+v, %v", res, err)
		}
	})
}

func (w *world) alarm(state cwtypes.StateValue) {
	name := "errors"
	_, err := w.clients.CloudWatch().PutMetricAlarm(w.ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: awssdk.Int32(1),
		MetricName: awssdk.String("5xx"), Namespace: awssdk.String("shop"), Period: awssdk.Int32(60), Threshold: awssdk.Float64(1), Statistic: cwtypes.StatisticSum,
	})
	if err == nil {
		_, err = w.clients.CloudWatch().SetAlarmState(w.ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: awssdk.String("the test says so")})
	}
	if err != nil {
		w.t.Error(err)
	}
}

func TestReleaseTwiceDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		first := w.released("v1")
		versions, refreshes := w.templateVersions(), w.refreshes()
		res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v1", first.Manifest))
		if err != nil || res.Outcome != rollout.UpToDate {
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
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		before := w.saved()
		w.fleet.behave(func(f *fleet) {
			f.bad = map[artifact.Version]string{"v2": "PHP Parse error: syntax error in broken.php on line 5"}
		})
		w.watchSaved(before)
		res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", w.publish("v2")))
		if err != nil || res.Outcome != rollout.RolledBack {
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
				w.fleet.behave(tt.spoil)
				began := time.Now()
				res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", w.publish("v2")))
				if err != nil || res.Outcome != rollout.RolledBack || !strings.Contains(res.Cause, tt.says) {
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
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		w.released("v2")
		w.fleet.behave(func(f *fleet) { f.bad = map[artifact.Version]string{"v3": "boom"} })
		if res, err := w.engine(rollout.Options{}).Release(w.ctx, to("v3", w.publish("v3"))); err != nil || res.Outcome != rollout.RolledBack {
			t.Fatalf("v3: %+v, %v", res, err)
		}
		res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back(""))
		if err != nil || res.Outcome != rollout.Released || res.Version != "v1" {
			t.Fatalf("rolling back: %+v, %v", res, err)
		}
		w.provenOn("v1")
		var none *rollout.NotProven
		if _, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("")); !errors.As(err, &none) {
			t.Errorf("a second rollback: %v", err)
		}
		if _, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("v3")); !errors.As(err, &none) {
			t.Errorf("to a release that never passed: %v", err)
		}
	})
}

// A run that is killed right after any step is continued by the same command
// and leaves one template version and one refresh; a third run does nothing.
func TestKilledAfterEachStep(t *testing.T) {
	for _, step := range []rollout.Step{rollout.StepLock, rollout.StepRecord, rollout.StepTemplate, rollout.StepRefresh, rollout.StepVerdict, rollout.StepSettled, rollout.StepProven, rollout.StepDone} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.released("v1")
				digest := w.publish("v2")
				versions, refreshes := w.templateVersions(), w.refreshes()
				if !w.killedAfter(step, "v2", digest) {
					t.Fatalf("the run never reached step %s", step)
				}
				res, err := w.engine(rollout.Options{Holder: owner.Holder{Name: "second"}}).Release(w.ctx, to("v2", digest))
				if err != nil || res.Outcome != rollout.Released && res.Outcome != rollout.UpToDate {
					t.Fatalf("second run: %+v, %v", res, err)
				}
				if a, b := w.templateVersions()-versions, w.refreshes()-refreshes; a != 1 || b != 1 {
					t.Errorf("%d template versions and %d refreshes were made", a, b)
				}
				w.provenOn("v2")
				res, err = w.engine(rollout.Options{Holder: owner.Holder{Name: "third"}}).Release(w.ctx, to("v2", digest))
				if err != nil || res.Outcome != rollout.UpToDate {
					t.Errorf("third run: %+v, %v", res, err)
				}
			})
		})
	}
}

// killedAfter performs a release whose process dies after a step: it cleans
// nothing up.
func (w *world) killedAfter(step rollout.Step, v artifact.Version, d artifact.Digest) (died bool) {
	type killed struct{}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			died = true
		}
	}()
	_, _ = w.engine(rollout.Options{Holder: owner.Holder{Name: "first"}, AfterStep: func(s rollout.Step) {
		if s == step {
			panic(killed{})
		}
	}}).Release(w.ctx, to(v, d))
	return false
}

func TestRefreshCancelledBySomebody(t *testing.T) {
	t.Parallel()
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
		var intervention *rollout.InterventionRequired
		_, err := w.engine(rollout.Options{}).Release(w.ctx, to("v2", w.publish("v2")))
		if !errors.As(err, &intervention) || !strings.Contains(err.Error(), "mixed") {
			t.Fatalf("got %v", err)
		}
		res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back(""))
		if err != nil || res.Version != "v1" {
			t.Fatalf("rolling back: %+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

func TestRollbackDuringRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		if _, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: "v2", Manifest: digest, Detach: true}); err != nil {
			t.Fatal(err)
		}
		res, err := w.engine(rollout.Options{Holder: owner.Holder{Name: "second"}}).Rollback(w.ctx, back(""))
		if err != nil || res.Outcome != rollout.RolledBack || res.Serving != "v1" {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v1")
	})
}

func TestTwoReleasesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		digest := w.publish("v2")
		other := w.publish("v3")
		versions, refreshes := w.templateVersions(), w.refreshes()
		ends := make(chan error, 2)
		for i := range 2 {
			b := w.engine(rollout.Options{Holder: owner.Holder{Name: fmt.Sprint("ci-", i)}})
			go func() {
				_, err := b.Release(w.ctx, to("v2", digest))
				ends <- err
			}()
		}
		wait(w.ctx, time.Minute)
		var busy *rollout.Busy
		if _, err := w.engine(rollout.Options{Holder: owner.Holder{Name: "other"}}).Release(w.ctx, to("v3", other)); !errors.As(err, &busy) {
			t.Errorf("another version meanwhile: %v", err)
		}
		if _, err := w.engine(rollout.Options{Holder: owner.Holder{Name: "ci-0"}}).Release(w.ctx, to("v3", other)); !errors.As(err, &busy) {
			t.Errorf("another version by the same name: %v", err)
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
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.released("v1")
		if _, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: "v2", Manifest: w.publish("v2"), Detach: true}); err != nil {
			t.Fatal(err)
		}
		digest := w.publish("v3")
		var open *rollout.Unfinished
		if _, err := w.engine(rollout.Options{}).Release(w.ctx, to("v3", digest)); !errors.As(err, &open) {
			t.Errorf("over an unfinished run: %v", err)
		}
		res, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: "v3", Manifest: digest, OnBusy: rollout.Supersede})
		if err != nil || res.Outcome != rollout.Released {
			t.Fatalf("%+v, %v", res, err)
		}
		w.provenOn("v3")
	})
}
