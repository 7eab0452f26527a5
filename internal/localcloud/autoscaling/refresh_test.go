package autoscaling

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// span watches how many nodes are ready or around at once while a refresh runs.
func (w *world) span(limit time.Duration) (least, most int) {
	w.Helper()
	least = len(w.inService())
	w.until(limit, "refresh ended", func() bool {
		least = min(least, len(w.inService()))
		counting := 0
		for _, i := range w.describe().Instances {
			if !strings.HasPrefix(string(i.LifecycleState), "Terminating") {
				counting++
			}
		}
		most = max(most, counting)
		return w.refresh().EndTime != nil
	})
	return least, most
}

func TestRefreshStaysWithinItsBounds(t *testing.T) {
	cases := []struct {
		name                  string
		nodes                 int32
		preferences           *types.RefreshPreferences
		least, most           int
		atLeastFor, atMostFor time.Duration
	}{
		{"a group of one, launch first", 1, healthyRange(100, 200), 1, 2, 2 * time.Minute, 6 * time.Minute},
		{"a group of one by default goes out of service", 1, nil, 0, 1, time.Minute, 6 * time.Minute},
		{"a group of one, no room at all", 1, healthyRange(100, 100), 1, 2, 2 * time.Minute, 6 * time.Minute},
		{"ten by default, terminate first", 10, nil, 9, 10, 15 * time.Minute, 35 * time.Minute},
		{"ten, launch first", 10, healthyRange(100, 110), 10, 11, 15 * time.Minute, 35 * time.Minute},
		{"ten, launch first, two at a time", 10, healthyRange(100, 120), 10, 12, 7 * time.Minute, 20 * time.Minute},
		{"ten, both ways", 10, healthyRange(90, 120), 9, 12, 5 * time.Minute, 20 * time.Minute},
		{"four, all at once", 4, healthyRange(0, 100), 0, 4, time.Minute, 6 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.group(c.nodes)
				began := time.Now()
				w.start(c.preferences, to("2"))
				least, most := w.span(3 * time.Hour)
				took := time.Since(began)
				if r := w.refresh(); r.Status != types.InstanceRefreshStatusSuccessful || *r.PercentageComplete != 100 || *r.InstancesToUpdate != 0 {
					t.Errorf("refresh ended as %s, %d%%, %d to update: %s", r.Status, *r.PercentageComplete, *r.InstancesToUpdate, aws.ToString(r.StatusReason))
				}
				if least != c.least || most != c.most {
					t.Errorf("from %d to %d nodes, want from %d to %d", least, most, c.least, c.most)
				}
				if took < c.atLeastFor || took > c.atMostFor {
					t.Errorf("took %s, want %s to %s", took, c.atLeastFor, c.atMostFor)
				}
				if got := w.versions(); got["2"] != int(c.nodes) || len(got) != 1 {
					t.Errorf("versions in service: %v", got)
				}
				if w.saved() != "2" {
					t.Errorf("saved version %s, want 2", w.saved())
				}
			})
		})
	}
}

func TestReplacementBounds(t *testing.T) {
	cases := []struct {
		desired     int
		least, most int32
		want        bounds
	}{
		{100, 90, 100, bounds{90, 0}},
		{100, 90, 120, bounds{90, 20}},
		{10, 90, 100, bounds{9, 0}},
		{10, 95, 100, bounds{9, 0}}, // rounded up to 10, then violated
		{10, 100, 105, bounds{10, 1}},
		{10, 100, 119, bounds{10, 1}},
		{3, 90, 100, bounds{2, 0}},
		{1, 90, 100, bounds{0, 0}},
		{1, 100, 100, bounds{1, 1}},
		{1, 100, 200, bounds{1, 1}},
		{1, 50, 150, bounds{0, 0}},
		{5, 0, 100, bounds{0, 0}},
		{0, 90, 100, bounds{0, 0}},
	}
	for _, c := range cases {
		if got := replacementBounds(c.desired, c.least, c.most); got != c.want {
			t.Errorf("%d nodes at %d/%d: %+v, want %+v", c.desired, c.least, c.most, got, c.want)
		}
	}
}

func TestManualRollbackReplacesOnlyWhatMoved(t *testing.T) {
	cases := []struct{ saved, target string }{
		{"1", "2"},
		{"1", "1"}, // the group's template had been updated first: there is no way back
	}
	for _, c := range cases {
		inWorld(t, func(w *world) {
			w.group(10)
			id := w.start(healthyRange(90, 100), to(c.target))
			w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
			before := w.inService()
			out := must(w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)}))
			if *out.InstanceRefreshId != id {
				t.Errorf("rollback is %s, want %s", *out.InstanceRefreshId, id)
			}
			d := w.refresh().RollbackDetails
			if *d.PercentageCompleteOnRollback != 50 || *d.InstancesToUpdateOnRollback != 5 && *d.InstancesToUpdateOnRollback != 4 {
				t.Errorf("on rollback %d%%, %d to update", *d.PercentageCompleteOnRollback, *d.InstancesToUpdateOnRollback)
			}
			last := 100
			w.until(2*time.Hour, "rolled back", func() bool {
				r := w.refresh()
				if int(*r.PercentageComplete) > last {
					t.Errorf("percentage rises from %d to %d in a rollback", last, *r.PercentageComplete)
				}
				last = int(*r.PercentageComplete)
				return r.Status == types.InstanceRefreshStatusRollbackSuccessful
			})
			if last != 0 {
				t.Errorf("rolled back at %d%%", last)
			}
			kept := 0
			for _, i := range before {
				for _, now := range w.inService() {
					if *i.InstanceId == *now.InstanceId {
						kept++
					}
				}
			}
			if kept != 4 && kept != 5 {
				t.Errorf("%d nodes kept, want those that had not moved", kept)
			}
			if got := w.versions(); got[c.saved] != 10 || w.saved() != c.saved {
				t.Errorf("versions %v, saved %s", got, w.saved())
			}
		})
	}
}

func TestCancelLeavesTheGroupMixed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(10)
		w.start(nil, to("2"))
		w.until(time.Hour, "some done", func() bool { return *w.refresh().PercentageComplete >= 30 })
		w.cancel(true)
		if s := w.refresh().Status; s != types.InstanceRefreshStatusCancelling {
			t.Errorf("status %s, want Cancelling", s)
		}
		if _, err := w.service.cancelInstanceRefresh(w.Context(), &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)}); code(err) != "ActiveInstanceRefreshNotFound" {
			t.Errorf("cancelling twice: %v", err)
		}
		w.reaches(types.InstanceRefreshStatusCancelled, 20*time.Minute)
		got := w.versions()
		if got["1"] == 0 || got["2"] == 0 || got["1"]+got["2"] != 10 || w.saved() != "1" {
			t.Errorf("versions %v, saved %s", got, w.saved())
		}
		must(w.service.setDesiredCapacity(w.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(shop), DesiredCapacity: aws.Int32(12)}))
		w.pass(10 * time.Minute)
		if now := w.versions(); now["1"] != got["1"]+2 {
			t.Errorf("scale-outs after a cancel: %v, before %v", now, got)
		}

		// The next refresh finishes the rest when it skips what matches.
		moved := got["2"]
		launched := len(w.launches())
		w.start(&types.RefreshPreferences{SkipMatching: aws.Bool(true)}, to("2"))
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if n := len(w.launches()) - launched; n != 12-moved {
			t.Errorf("%d launches, want %d", n, 12-moved)
		}
	})
}

func TestCheckpoints(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(10)
		p := healthyRange(100, 120)
		p.CheckpointPercentages = []int32{20, 50}
		p.CheckpointDelay = aws.Int32(7200) // longer than a refresh may be without progress, which stands still
		w.start(p, to("2"))
		w.until(time.Hour, "first checkpoint", func() bool { return strings.Contains(aws.ToString(w.refresh().StatusReason), "checkpoint 20%") })
		w.pass(time.Hour + 50*time.Minute)
		if got := w.versions(); got["2"] != 2 || got["1"] != 8 {
			t.Errorf("at the first checkpoint: %v", got)
		}
		if p := *w.refresh().PercentageComplete; p != 20 {
			t.Errorf("%d%% at the first checkpoint", p)
		}
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if got := w.versions(); got["2"] != 5 || got["1"] != 5 {
			t.Errorf("the last checkpoint leaves the rest: %v", got)
		}
	})
}

func TestBakeTime(t *testing.T) {
	type ending struct {
		name  string
		do    func(*world)
		auto  bool
		want  types.InstanceRefreshStatus
		saved string
	}
	cases := []ending{
		{"quiet", func(*world) {}, false, types.InstanceRefreshStatusSuccessful, "2"},
		{"alarm", func(w *world) { w.setAlarm("errors", "ALARM") }, false, types.InstanceRefreshStatusFailed, "1"},
		{"alarm with rollback", func(w *world) { w.setAlarm("errors", "ALARM") }, true, types.InstanceRefreshStatusRollbackSuccessful, "1"},
		{"cancelled", func(w *world) { w.cancel(true) }, false, types.InstanceRefreshStatusCancelled, "1"},
		{"rolled back by hand", func(w *world) {
			must(w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)}))
		}, false, types.InstanceRefreshStatusRollbackSuccessful, "1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.group(2)
				w.setAlarm("errors", "OK")
				p := healthyRange(100, 200)
				p.BakeTime = aws.Int32(1800)
				p.AutoRollback = aws.Bool(c.auto)
				p.AlarmSpecification = &types.AlarmSpecification{Alarms: []string{"errors"}}
				w.start(p, to("2"))
				w.reaches(types.InstanceRefreshStatusBaking, time.Hour)
				began := time.Now()
				if w.saved() != "1" {
					t.Error("the group moved before the bake time was over")
				}
				w.pass(15 * time.Minute)
				c.do(w)
				w.reaches(c.want, 2*time.Hour)
				if took := time.Since(began); c.want == types.InstanceRefreshStatusSuccessful && took < 29*time.Minute {
					t.Errorf("baked for %s", took)
				}
				if w.saved() != c.saved {
					t.Errorf("saved version %s, want %s", w.saved(), c.saved)
				}
				if c.want == types.InstanceRefreshStatusRollbackSuccessful && w.versions()["1"] != 2 {
					t.Errorf("versions %v", w.versions())
				}
			})
		})
	}
}

func TestProtectedAndStandbyNodes(t *testing.T) {
	protect := func(w *world, id string) {
		must(w.service.setInstanceProtection(w.Context(), &autoscaling.SetInstanceProtectionInput{
			AutoScalingGroupName: aws.String(shop), InstanceIds: []string{id}, ProtectedFromScaleIn: aws.Bool(true),
		}))
	}
	standby := func(w *world, id string) {
		must(w.service.enterStandby(w.Context(), &autoscaling.EnterStandbyInput{
			AutoScalingGroupName: aws.String(shop), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true),
		}))
		w.pass(2 * time.Minute)
	}
	cases := []struct {
		name     string
		set      func(*world, string)
		protect  types.ScaleInProtectedInstances
		standby  types.StandbyInstances
		want     types.InstanceRefreshStatus
		versions map[string]int
		all      int
	}{
		{"protected, wait", protect, types.ScaleInProtectedInstancesWait, "", types.InstanceRefreshStatusFailed, map[string]int{"1": 1, "2": 3}, 4},
		{"protected, by default", protect, "", "", types.InstanceRefreshStatusFailed, map[string]int{"1": 1, "2": 3}, 4},
		{"protected, ignore", protect, types.ScaleInProtectedInstancesIgnore, "", types.InstanceRefreshStatusSuccessful, map[string]int{"1": 1, "2": 3}, 4},
		{"protected, refresh", protect, types.ScaleInProtectedInstancesRefresh, "", types.InstanceRefreshStatusSuccessful, map[string]int{"2": 4}, 4},
		{"standby, wait", standby, "", types.StandbyInstancesWait, types.InstanceRefreshStatusFailed, map[string]int{"2": 3}, 4},
		{"standby, ignore", standby, "", types.StandbyInstancesIgnore, types.InstanceRefreshStatusSuccessful, map[string]int{"2": 3}, 4},
		{"standby, terminate", standby, "", types.StandbyInstancesTerminate, types.InstanceRefreshStatusSuccessful, map[string]int{"2": 3}, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.group(4)
				c.set(w, *w.inService()[1].InstanceId)
				p := healthyRange(75, 100)
				p.ScaleInProtectedInstances, p.StandbyInstances = c.protect, c.standby
				began := time.Now()
				w.start(p, to("2"))
				w.span(3 * time.Hour)
				if c.want == types.InstanceRefreshStatusFailed && time.Since(began) < time.Hour+4*time.Minute {
					t.Errorf("failed after %s; the hour starts when all others are replaced", time.Since(began))
				}
				if s := w.refresh(); s.Status != c.want {
					t.Errorf("%s: %s", s.Status, aws.ToString(s.StatusReason))
				}
				got := w.versions()
				if got["1"] != c.versions["1"] || got["2"] != c.versions["2"] || len(w.describe().Instances) != c.all {
					t.Errorf("versions %v\n%s", got, w.picture())
				}
			})
		})
	}
}

func TestStandbyThatReturnsIsReplaced(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(3)
		id := *w.inService()[0].InstanceId
		must(w.service.enterStandby(w.Context(), &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String(shop), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true)}))
		w.start(healthyRange(100, 200), to("2"))
		w.pass(30 * time.Minute)
		if s := w.refresh().Status; s != types.InstanceRefreshStatusInProgress {
			t.Fatalf("status %s while a node stands by", s)
		}
		must(w.service.exitStandby(w.Context(), &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(shop), InstanceIds: []string{id}}))
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if got := w.versions(); got["2"] != 3 || len(got) != 1 {
			t.Errorf("versions %v", got)
		}
	})
}

func TestScaleOutDuringRefreshLaunchesTheTarget(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(4)
		w.start(nil, to("2"))
		w.pass(time.Minute)
		must(w.service.setDesiredCapacity(w.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(shop), DesiredCapacity: aws.Int32(8)}))
		w.reaches(types.InstanceRefreshStatusSuccessful, 2*time.Hour)
		for _, spec := range w.launches()[4:] {
			if spec.Version != 2 {
				t.Errorf("launched version %d during the refresh", spec.Version)
			}
		}
		if n := len(w.launches()); n != 12 {
			t.Errorf("%d launches, want 4 and 4 and 4", n)
		}
	})
}

func TestSkipMatchingWithNothingToDo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(3)
		w.start(&types.RefreshPreferences{SkipMatching: aws.Bool(true)}, to("1"))
		w.reaches(types.InstanceRefreshStatusSuccessful, 10*time.Second)
		if len(w.launches()) != 3 {
			t.Errorf("%d launches", len(w.launches()))
		}
		// A version by another name is still the same version.
		w.start(&types.RefreshPreferences{SkipMatching: aws.Bool(true)}, to("$Default"))
		w.reaches(types.InstanceRefreshStatusSuccessful, 10*time.Second)
		if w.saved() != "$Default" || len(w.launches()) != 3 {
			t.Errorf("saved %s after %d launches", w.saved(), len(w.launches()))
		}
	})
}

func TestEmptyGroupSucceedsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(0)
		w.start(nil, to("2"))
		w.reaches(types.InstanceRefreshStatusSuccessful, 10*time.Second)
		if w.saved() != "2" {
			t.Errorf("saved %s", w.saved())
		}
	})
}

func TestSuspendedProcessPauses(t *testing.T) {
	for _, process := range []string{"InstanceRefresh", "Launch", "Terminate"} {
		inWorld(t, func(w *world) {
			w.group(4)
			w.start(nil, to("2"))
			w.until(time.Hour, "one done", func() bool { return *w.refresh().PercentageComplete >= 25 })
			in := &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(shop), ScalingProcesses: []string{process}}
			must(w.service.suspendProcesses(w.Context(), in))
			w.pass(10 * time.Minute)
			before := w.picture()
			w.pass(5 * time.Hour)
			if now := w.picture(); now != before || w.refresh().Status != types.InstanceRefreshStatusInProgress {
				t.Errorf("%s suspended, but from\n%sto\n%s", process, before, now)
			}
			must(w.service.resumeProcesses(w.Context(), &autoscaling.ResumeProcessesInput{AutoScalingGroupName: in.AutoScalingGroupName, ScalingProcesses: in.ScalingProcesses}))
			w.reaches(types.InstanceRefreshStatusSuccessful, 2*time.Hour)
		})
	}
}

func TestUpdateIsRefusedDuringRefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2)
		update := func(in autoscaling.UpdateAutoScalingGroupInput) error {
			in.AutoScalingGroupName = aws.String(shop)
			_, err := w.service.updateGroup(w.Context(), &in)
			return err
		}
		w.start(nil, to("2"))
		err := update(autoscaling.UpdateAutoScalingGroupInput{LaunchTemplate: version("3")})
		if code(err) != "ValidationError" || !strings.Contains(err.Error(), "An active instance refresh with a desired configuration exists.") {
			t.Errorf("updating the template: %v", err)
		}
		if err := update(autoscaling.UpdateAutoScalingGroupInput{MaxSize: aws.Int32(5)}); err != nil {
			t.Errorf("updating a size: %v", err)
		}
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if err := update(autoscaling.UpdateAutoScalingGroupInput{LaunchTemplate: version("3")}); err != nil {
			t.Errorf("updating the template afterwards: %v", err)
		}
		w.start(nil, nil)
		if err := update(autoscaling.UpdateAutoScalingGroupInput{LaunchTemplate: version("2")}); err != nil {
			t.Errorf("updating the template under a refresh without a desired configuration: %v", err)
		}
	})
}

func TestMixedPolicyIsCarriedWhole(t *testing.T) {
	policy := func(v string) *types.MixedInstancesPolicy {
		return &types.MixedInstancesPolicy{
			LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: version(v),
				Overrides: []types.LaunchTemplateOverrides{
					{InstanceType: aws.String("t3.small"), WeightedCapacity: aws.String("1")},
					{InstanceType: aws.String("t4g.small"), LaunchTemplateSpecification: version("3")},
				},
			},
			InstancesDistribution: &types.InstancesDistribution{OnDemandPercentageAboveBaseCapacity: aws.Int32(50)},
		}
	}
	inWorld(t, func(w *world) {
		w.group(2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.LaunchTemplate, in.MixedInstancesPolicy = nil, policy("1")
		})
		w.start(healthyRange(100, 200), &types.DesiredConfiguration{MixedInstancesPolicy: policy("2")})
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		g := w.describe()
		p := g.MixedInstancesPolicy
		if g.LaunchTemplate != nil || *p.LaunchTemplate.LaunchTemplateSpecification.Version != "2" || len(p.LaunchTemplate.Overrides) != 2 ||
			*p.LaunchTemplate.Overrides[1].LaunchTemplateSpecification.Version != "3" || *p.InstancesDistribution.OnDemandPercentageAboveBaseCapacity != 50 {
			t.Errorf("policy not carried: %+v", p)
		}
		for _, i := range w.inService() {
			if *i.InstanceType != "t3.small" || *i.LaunchTemplate.Version != "2" || *i.WeightedCapacity != "1" {
				t.Errorf("node %s of type %s on version %s", *i.InstanceId, *i.InstanceType, *i.LaunchTemplate.Version)
			}
		}
		w.start(&types.RefreshPreferences{SkipMatching: aws.Bool(true)}, &types.DesiredConfiguration{MixedInstancesPolicy: policy("2")})
		w.reaches(types.InstanceRefreshStatusSuccessful, 10*time.Second)

		// A plain template takes the group off its policy.
		w.start(healthyRange(100, 200), to("3"))
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if g := w.describe(); g.MixedInstancesPolicy != nil || *g.LaunchTemplate.Version != "3" {
			t.Errorf("still on a policy: %+v", g.MixedInstancesPolicy)
		}
	})
}

func TestLatestIsResolvedForEveryNode(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(4)
		p := healthyRange(75, 100)
		p.SkipMatching = aws.Bool(true)
		w.start(p, to("$Latest"))
		w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
		w.fault(func() { w.latest = 4 })
		w.reaches(types.InstanceRefreshStatusSuccessful, 2*time.Hour)
		if got := w.versions(); got["4"] != 4 || len(w.launches()) <= 8 {
			t.Errorf("versions %v after %d launches", got, len(w.launches()))
		}
	})
}

func TestThousandNodes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(1000, func(in *autoscaling.CreateAutoScalingGroupInput) { in.DefaultInstanceWarmup = aws.Int32(300) })
		w.fault(func() { w.drain = 5 * time.Minute })
		w.start(healthyRange(95, 105), to("2"))
		w.until(24*time.Hour, "refresh ended", func() bool { w.pass(time.Minute); return w.refresh().EndTime != nil })
		if got := w.versions(); got["2"] != 1000 || w.refresh().Status != types.InstanceRefreshStatusSuccessful {
			t.Errorf("versions %v, %s", got, w.refresh().Status)
		}
	})
}
