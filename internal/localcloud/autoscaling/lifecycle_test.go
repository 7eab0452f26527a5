package autoscaling

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func (w *world) state(id string) types.LifecycleState {
	for _, i := range w.describe().Instances {
		if *i.InstanceId == id {
			return i.LifecycleState
		}
	}
	return types.LifecycleStateTerminated
}

func (w *world) desire(n int32) {
	must(w.service.setDesiredCapacity(w.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(shop), DesiredCapacity: aws.Int32(n)}))
}

func (w *world) inState(state types.LifecycleState) string {
	w.Helper()
	var id string
	w.until(20*time.Minute, "a node in "+string(state), func() bool {
		for _, i := range w.describe().Instances {
			if i.LifecycleState == state {
				id = *i.InstanceId
				return true
			}
		}
		return false
	})
	return id
}

func TestLaunchHookHoldsRegistration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(1)
		w.hook(launching, 600)
		w.desire(2)
		id := w.inState(types.LifecycleStatePendingWait)
		if state, _ := w.Health(targets, id); state != "unused" {
			t.Errorf("target is %s during the launch hook", state)
		}
		if err := w.complete(id, resultContinue); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if s := w.state(id); s != types.LifecycleStateInService {
			t.Errorf("node is %s after its hook", s)
		}
		if state, _ := w.Health(targets, id); state != "initial" {
			t.Errorf("target is %s after the launch hook", state)
		}
		err := w.complete(id, resultContinue)
		if code(err) != "ValidationError" || !strings.Contains(err.Error(), "No active Lifecycle Action found with instance ID "+id) {
			t.Errorf("completing twice: %v", err)
		}
	})
}

func TestSeveralLaunchHooks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(0)
		w.hook(launching, 600)
		must(w.service.putLifecycleHook(w.Context(), &autoscaling.PutLifecycleHookInput{
			AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("other"), LifecycleTransition: aws.String(launching),
			HeartbeatTimeout: aws.Int32(120), DefaultResult: aws.String(resultContinue),
		}))
		w.desire(1)
		id := w.inState(types.LifecycleStatePendingWait)
		w.pass(200 * time.Second) // the other hook times out and lets go
		if s := w.state(id); s != types.LifecycleStatePendingWait {
			t.Fatalf("node is %s while one hook still holds it", s)
		}
		if err := w.complete(id, resultContinue); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if s := w.state(id); s != types.LifecycleStateInService {
			t.Errorf("node is %s after all hooks", s)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(0)
		w.hook(launching, 600)
		w.desire(1)
		id := w.inState(types.LifecycleStatePendingWait)
		w.pass(500 * time.Second)
		must(w.service.recordLifecycleActionHeartbeat(w.Context(), &autoscaling.RecordLifecycleActionHeartbeatInput{
			AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("boot"), InstanceId: aws.String(id),
		}))
		w.pass(500 * time.Second)
		if s := w.state(id); s != types.LifecycleStatePendingWait {
			t.Fatalf("node is %s after a heartbeat", s)
		}
		w.pass(200 * time.Second)
		if s := w.state(id); s == types.LifecycleStatePendingWait || s == types.LifecycleStateInService {
			t.Errorf("node is %s after its time was up", s)
		}
		found := false
		for _, a := range w.activities() {
			found = found || a.StatusCode == types.ScalingActivityStatusCodeCancelled && strings.Contains(*a.StatusMessage, "was abandoned: Heartbeat Timeout")
		}
		if !found {
			t.Error("no activity tells of the timeout")
		}
	})
}

func TestTerminateHookComesAfterDraining(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2)
		w.hook(terminating, 600)
		id := *w.inService()[0].InstanceId
		must(w.service.terminateInstance(w.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(true),
		}))
		w.pass(50 * time.Second)
		if s := w.state(id); s != types.LifecycleStateTerminating {
			t.Errorf("node is %s while it drains", s)
		}
		if state, ok := w.service.LifecycleTarget(id); !ok || state != "Terminated" {
			t.Errorf("lifecycle target %q, %v", state, ok)
		}
		w.pass(15 * time.Second)
		if s := w.state(id); s != types.LifecycleStateTerminatingWait {
			t.Errorf("node is %s after it drained", s)
		}
		if err := w.complete(id, resultAbandon); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		if got := len(w.describe().Instances); got != 1 || *w.describe().DesiredCapacity != 1 {
			t.Errorf("%d nodes remain", got)
		}
	})
}

func TestAbandonedTerminationRetains(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.InstanceLifecyclePolicy = &types.InstanceLifecyclePolicy{RetentionTriggers: &types.RetentionTriggers{TerminateHookAbandon: types.RetentionActionRetain}}
		})
		w.hook(terminating, 600)
		w.desire(1)
		id := w.inState(types.LifecycleStateTerminatingWait)
		if err := w.complete(id, resultAbandon); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		if s := w.state(id); s != types.LifecycleStateTerminatingRetained {
			t.Fatalf("node is %s", s)
		}
		must(w.service.terminateInstance(w.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(false)}))
		w.pass(time.Minute)
		if n := len(w.describe().Instances); n != 1 {
			t.Errorf("%d nodes remain", n)
		}
	})
}

func TestUnhealthyNodesAreReplaced(t *testing.T) {
	cases := []struct {
		name  string
		hurt  func(*world, string)
		cause string
	}{
		{"instance dies", func(w *world, id string) { w.kill(id) }, "in response to an EC2 health check"},
		{"load balancer", func(w *world, _ string) { w.fault(func() { w.sick = func(v int64) bool { return v == 1 } }) }, "in response to an ELB system health check failure"},
		{"user", func(w *world, id string) {
			must(w.service.setInstanceHealth(w.Context(), &autoscaling.SetInstanceHealthInput{InstanceId: aws.String(id), HealthStatus: aws.String(unhealthy)}))
		}, "in response to a user health-check"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.group(1)
				id := *w.inService()[0].InstanceId
				c.hurt(w, id)
				w.until(time.Minute, "node on its way out", func() bool { return w.state(id) != types.LifecycleStateInService })
				w.fault(func() { w.sick = func(int64) bool { return false } })
				w.until(5*time.Minute, "replaced", func() bool { return len(w.inService()) == 1 && *w.inService()[0].InstanceId != id })
				found := false
				for _, a := range w.activities() {
					found = found || *a.Description == "Terminating EC2 instance: "+id && strings.Contains(*a.Cause, c.cause)
				}
				if !found {
					t.Errorf("no activity gives the cause: %v", w.activities())
				}
			})
		})
	}
}

// Nodes are replaced for their health a tenth of the group at a time.
func TestUnhealthyReplacementIsSlow(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(20)
		w.fault(func() { w.sick = func(int64) bool { return true } })
		least := 20
		for range 300 {
			w.pass(time.Second)
			serving := 0
			for _, i := range w.describe().Instances {
				if !strings.HasPrefix(string(i.LifecycleState), "Terminating") {
					serving++
				}
			}
			least = min(least, len(w.inService()))
		}
		if least < 15 {
			t.Errorf("only %d of 20 nodes in service", least)
		}
	})
}

// A load balancer that never called any node healthy condemns none.
func TestNoVerdictBeforeTheFirstHealthyNode(t *testing.T) {
	inWorld(t, func(w *world) {
		w.fault(func() { w.sick = func(int64) bool { return true } })
		w.group(2)
		w.pass(time.Hour)
		if len(w.launches()) != 2 {
			t.Errorf("%d launches", len(w.launches()))
		}
	})
}

func TestGracePeriod(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(1, func(in *autoscaling.CreateAutoScalingGroupInput) { in.HealthCheckGracePeriod = aws.Int32(600) })
		w.fault(func() { w.sick = func(int64) bool { return true } })
		w.pass(5 * time.Minute)
		if len(w.launches()) != 1 {
			t.Error("the load balancer's verdict counted within the grace period")
		}
		w.pass(5 * time.Minute)
		if len(w.launches()) != 2 {
			t.Errorf("%d launches after the grace period", len(w.launches()))
		}
	})
}

func TestMaintenancePolicyReplacesLaunchFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.InstanceMaintenancePolicy = &types.InstanceMaintenancePolicy{MinHealthyPercentage: aws.Int32(100), MaxHealthyPercentage: aws.Int32(150)}
		})
		id := *w.inService()[0].InstanceId
		must(w.service.setInstanceHealth(w.Context(), &autoscaling.SetInstanceHealthInput{InstanceId: aws.String(id), HealthStatus: aws.String(unhealthy)}))
		w.until(10*time.Minute, "replaced", func() bool {
			if n := len(w.inService()); n < 2 {
				t.Fatalf("%d nodes in service", n)
			}
			return w.state(id) != types.LifecycleStateInService
		})
		w.pass(5 * time.Minute)
		if n := len(w.describe().Instances); n != 2 {
			t.Errorf("%d nodes", n)
		}
	})
}

func TestScaleInBalancesZones(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(7)
		w.desire(2)
		w.pass(5 * time.Minute)
		zones := map[string]int{}
		for _, i := range w.inService() {
			zones[*i.AvailabilityZone]++
		}
		if zones["eu-central-1a"] != 1 || zones["eu-central-1b"] != 1 {
			t.Errorf("zones %v", zones)
		}
	})
}

func TestActivitiesOfARefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(1)
		w.start(healthyRange(100, 200), to("2"))
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		all := w.activities()
		if len(all) != 3 {
			t.Fatalf("%d activities", len(all))
		}
		end, launch := all[0], all[1]
		if !strings.HasPrefix(*end.Description, "Terminating EC2 instance: i-") || !strings.Contains(*end.Cause, "an instance was taken out of service in response to an instance refresh.  At ") {
			t.Errorf("termination: %s / %s", *end.Description, *end.Cause)
		}
		if !strings.HasPrefix(*launch.Description, "Launching a new EC2 instance: i-") || !strings.HasSuffix(*launch.Cause, "an instance was launched in response to an instance refresh.") {
			t.Errorf("launch: %s / %s", *launch.Description, *launch.Cause)
		}
		if *launch.Details != `{"Availability Zone":"eu-central-1b","Subnet ID":""}` {
			t.Errorf("details %s", *launch.Details)
		}
		for _, a := range all {
			if a.StatusCode != types.ScalingActivityStatusCodeSuccessful || *a.Progress != 100 || a.EndTime == nil {
				t.Errorf("%s is %s", *a.Description, a.StatusCode)
			}
		}
	})
}

func TestForceDelete(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(3)
		w.hook(terminating, 7200)
		w.start(nil, to("2"))
		name := aws.String(shop)
		_, err := w.service.deleteGroup(w.Context(), &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name})
		if code(err) != "ResourceInUse" {
			t.Errorf("deleting a group with nodes: %v", err)
		}
		must(w.service.deleteGroup(w.Context(), &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name, ForceDelete: aws.Bool(true)}))
		w.pass(5 * time.Second)
		out := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{shop}}))
		if len(out.AutoScalingGroups) != 0 {
			t.Errorf("still there:\n%s", w.picture())
		}
		past := must(w.service.describeScalingActivities(w.Context(), &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: name, IncludeDeletedGroups: aws.Bool(true)}))
		if len(past.Activities) == 0 || *past.Activities[0].AutoScalingGroupState != "Deleted" {
			t.Error("a deleted group's activities are forgotten")
		}
	})
}

func TestSnapshotGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(4)
		w.start(healthyRange(75, 100), to("2"))
		w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
		again := New(w.service.options)
		if err := again.Restore(must(w.service.Snapshot())); err != nil {
			t.Fatal(err)
		}
		first := w.service
		first.mu.Lock() // stop the first one's loop from acting
		first.groups = nil
		first.mu.Unlock()
		w.service = again
		done := make(chan error, 1)
		go func() { done <- again.Run(w.Context()) }()
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if got := w.versions(); got["2"] != 4 || len(w.launches()) != 8 {
			t.Errorf("versions %v after %d launches", got, len(w.launches()))
		}
	})
}
