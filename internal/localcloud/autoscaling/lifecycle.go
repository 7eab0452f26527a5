package autoscaling

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// checkEvery is how often a settled node's health is asked for.
const checkEvery = 5 * time.Second

const running = string(ec2types.InstanceStateNameRunning)

// advance moves a node through as many lifecycle states as it can take now.
func (t *turn) advance(n *node) {
	for n.ID != "" || n.leaving() {
		before := n.State
		t.pass(n)
		if n.State == before {
			return
		}
		t.changed = true
	}
}

func (t *turn) pass(n *node) {
	switch n.State {
	case types.LifecycleStatePending:
		t.boot(n)
	case types.LifecycleStatePendingWait:
		t.awaitLaunchHooks(n)
	case types.LifecycleStatePendingProceed:
		t.enter(n)
	case types.LifecycleStateInService:
		t.check(n)
	case types.LifecycleStateEnteringStandby:
		if t.drained(n) {
			n.State = types.LifecycleStateStandby
			t.group.end(n.Down, types.ScalingActivityStatusCodeSuccessful, "", t.now)
		}
	case types.LifecycleStateTerminating:
		t.drain(n)
	case types.LifecycleStateTerminatingWait:
		t.awaitTerminateHooks(n)
	case types.LifecycleStateTerminatingProceed:
		t.finish(n)
	}
}

// boot waits for the instance to run, then holds it for the launch hooks.
func (t *turn) boot(n *node) {
	state, _, ok := t.options.Instances.State(n.ID)
	switch {
	case ok && state == string(ec2types.InstanceStateNamePending):
	case !ok || state != running:
		text := fmt.Sprintf("Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: instance is %s", stateName(state, ok))
		t.group.end(n.Up, types.ScalingActivityStatusCodeFailed, text, t.now)
		t.leave(n, byAbandon)
	case n.Returning:
		n.State = types.LifecycleStatePendingProceed
	default:
		t.open(n, launching)
		n.State = types.LifecycleStatePendingProceed
		if len(n.Actions) > 0 {
			n.State = types.LifecycleStatePendingWait
			t.group.progress(n.Up, types.ScalingActivityStatusCodeMidLifecycleAction, 50)
		}
	}
}

func stateName(state string, ok bool) string {
	if !ok {
		return "gone"
	}
	return state
}

func (t *turn) awaitLaunchHooks(n *node) {
	if state, _, ok := t.options.Instances.State(n.ID); !ok || state != running {
		t.group.end(n.Up, types.ScalingActivityStatusCodeCancelled, "Instance is "+stateName(state, ok)+" while waiting for a Lifecycle Action.", t.now)
		t.leave(n, byAbandon)
		return
	}
	t.expire(n)
	abandoned, waiting := n.verdict()
	switch {
	case abandoned != nil:
		t.group.end(n.Up, types.ScalingActivityStatusCodeCancelled, abandonText(abandoned), t.now)
		t.leave(n, byAbandon)
	case !waiting:
		n.State = types.LifecycleStatePendingProceed
	}
}

func abandonText(a *action) string {
	how := "Lifecycle Action Completed with ABANDON Result"
	if a.TimedOut {
		how = "Heartbeat Timeout"
	}
	return fmt.Sprintf("Instance failed to complete user's Lifecycle Action: Lifecycle Action with token %s was abandoned: %s", a.Token, how)
}

// enter registers the node with the group's target groups and takes it into
// service. With registration suspended it enters service without, for good.
func (t *turn) enter(n *node) {
	if !t.group.suspended("AddToLoadBalancer") && !t.register(n) {
		return
	}
	n.Actions, n.Returning = nil, false
	n.State, n.InService, n.NextCheck = types.LifecycleStateInService, t.now, t.now
	t.group.end(n.Up, types.ScalingActivityStatusCodeSuccessful, "", t.now)
}

// register puts the node into all target groups of the group; what fails is
// tried again at the next turn.
func (t *turn) register(n *node) bool {
	for _, arn := range t.group.Settings.TargetGroupARNs {
		if slices.Contains(n.Attached, arn) {
			continue
		}
		if err := t.options.Targets.Register(arn, n.ID); err != nil {
			if a := t.group.activity(n.Up); a != nil {
				a.StatusMessage = aws.String(message(err))
			}
			return false
		}
		n.Attached = append(n.Attached, arn)
	}
	return true
}

// leave starts a node's way out. Its place in the group's capacity is free
// from here on.
func (t *turn) leave(n *node, why reason) {
	t.group.leave(n, why, t.now)
	t.changed = true
}

func (g *group) leave(n *node, why reason, now time.Time) *types.Activity {
	g.end(n.Up, types.ScalingActivityStatusCodeCancelled, "Instance was terminated before it was in service.", now)
	n.State, n.Leaving, n.Actions, n.NextCheck = types.LifecycleStateTerminating, why, nil, now
	a := g.begin(n, "Terminating EC2 instance: "+n.ID, terminationCause(n, why, now), now)
	n.Down = *a.ActivityId
	if why == byRefresh || why == byHealth {
		g.Owed[why]++
	}
	return a
}

// drain takes the node out of its target groups, waits until they have let
// go of it, and then holds it for the terminate hooks.
func (t *turn) drain(n *node) {
	if n.ID == "" {
		return // its launch has no answer yet
	}
	if !n.Forced && !t.drained(n) {
		return
	}
	n.State = types.LifecycleStateTerminatingProceed
	if n.Forced {
		return
	}
	t.open(n, terminating)
	if len(n.Actions) > 0 {
		n.State = types.LifecycleStateTerminatingWait
		t.group.progress(n.Down, types.ScalingActivityStatusCodeMidLifecycleAction, 60)
	}
}

// drained deregisters the node where it is registered and tells whether all
// its target groups have let it go.
func (t *turn) drained(n *node) bool {
	for _, arn := range n.Attached {
		if state, _ := t.options.Targets.Health(arn, n.ID); !strings.Contains(state, "draining") {
			if err := t.options.Targets.Deregister(arn, n.ID); err != nil {
				t.options.Log.Info("deregistering a node failed", "instance", n.ID, "cause", err)
			}
		}
	}
	n.Attached = slices.DeleteFunc(n.Attached, func(arn string) bool {
		state, _ := t.options.Targets.Health(arn, n.ID)
		return !strings.Contains(state, "draining")
	})
	if len(n.Attached) > 0 {
		t.group.progress(n.Down, types.ScalingActivityStatusCodeWaitingForELBConnectionDraining, 30)
	}
	return len(n.Attached) == 0
}

func (t *turn) awaitTerminateHooks(n *node) {
	t.expire(n)
	abandoned, waiting := n.verdict()
	switch {
	case abandoned != nil && t.group.retains():
		n.State, n.Actions = types.LifecycleStateTerminatingRetained, nil
		t.group.end(n.Down, types.ScalingActivityStatusCodeCancelled, abandonText(abandoned), t.now)
	case !waiting:
		n.State, n.Actions = types.LifecycleStateTerminatingProceed, nil
	}
}

// retains tells whether an abandoned termination keeps the instance.
func (g *group) retains() bool {
	p := g.Settings.InstanceLifecyclePolicy
	return p != nil && p.RetentionTriggers != nil && p.RetentionTriggers.TerminateHookAbandon == types.RetentionActionRetain
}

// finish terminates the instance and lets the node go when it is dead.
func (t *turn) finish(n *node) {
	state, _, ok := t.options.Instances.State(n.ID)
	if !ok || state == string(ec2types.InstanceStateNameTerminated) {
		n.State = types.LifecycleStateTerminated
		t.group.end(n.Down, types.ScalingActivityStatusCodeSuccessful, "", t.now)
		return
	}
	if n.Ended || t.now.Before(n.NextCheck) {
		return
	}
	n.Ended, n.NextCheck = true, t.now.Add(t.scaled(checkEvery))
	t.ends = append(t.ends, n)
	t.changed = true
}
