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

// transition is one node on its way through its lifecycle, at one moment.
type transition struct {
	*reconcile
	*node
}

// advance moves a node through as many lifecycle states as it can take now.
func (t transition) advance() {
	for t.ID != "" || t.leaving() {
		before := t.State
		t.step()
		if t.State == before {
			return
		}
		t.changed = true
	}
}

func (t transition) step() {
	switch t.State {
	case types.LifecycleStatePending:
		t.boot()
	case types.LifecycleStatePendingWait:
		t.awaitLaunchHooks()
	case types.LifecycleStatePendingProceed:
		t.enter()
	case types.LifecycleStateInService:
		t.check()
	case types.LifecycleStateEnteringStandby:
		if t.drained() {
			t.State = types.LifecycleStateStandby
			t.group.Activities.end(t.Down, types.ScalingActivityStatusCodeSuccessful, "", t.now)
		}
	case types.LifecycleStateTerminating:
		t.drain()
	case types.LifecycleStateTerminatingWait:
		t.awaitTerminateHooks()
	case types.LifecycleStateTerminatingProceed:
		t.finish()
	}
}

// boot waits for the instance to run, then holds it for the launch hooks.
func (t transition) boot() {
	state, _, ok := t.options.Instances.State(t.ID)
	switch {
	case ok && state == string(ec2types.InstanceStateNamePending):
	case !ok || state != running:
		text := fmt.Sprintf("Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: instance is %s", stateName(state, ok))
		t.group.Activities.end(t.Up, types.ScalingActivityStatusCodeFailed, text, t.now)
		t.leave(t.node, byAbandon)
	case t.Returning:
		t.State = types.LifecycleStatePendingProceed
	default:
		t.open(launching)
		t.State = types.LifecycleStatePendingProceed
		if len(t.Actions) > 0 {
			t.State = types.LifecycleStatePendingWait
			t.group.Activities.progress(t.Up, types.ScalingActivityStatusCodeMidLifecycleAction, 50)
		}
	}
}

func stateName(state string, ok bool) string {
	if !ok {
		return "gone"
	}
	return state
}

func (t transition) awaitLaunchHooks() {
	if state, _, ok := t.options.Instances.State(t.ID); !ok || state != running {
		t.group.Activities.end(t.Up, types.ScalingActivityStatusCodeCancelled, "Instance is "+stateName(state, ok)+" while waiting for a Lifecycle Action.", t.now)
		t.leave(t.node, byAbandon)
		return
	}
	t.expire()
	abandoned, waiting := t.verdict()
	switch {
	case abandoned != nil:
		t.group.Activities.end(t.Up, types.ScalingActivityStatusCodeCancelled, abandonText(abandoned), t.now)
		t.leave(t.node, byAbandon)
	case !waiting:
		t.State = types.LifecycleStatePendingProceed
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
func (t transition) enter() {
	if !t.group.suspended("AddToLoadBalancer") && !t.register() {
		return
	}
	t.Actions, t.Returning = nil, false
	t.State, t.InService, t.NextCheck = types.LifecycleStateInService, t.now, t.now
	t.group.Activities.end(t.Up, types.ScalingActivityStatusCodeSuccessful, "", t.now)
}

// register puts the node into all target groups of the group; what fails is
// tried again at the next moment.
func (t transition) register() bool {
	for _, arn := range t.group.Settings.TargetGroupARNs {
		if slices.Contains(t.Attached, arn) {
			continue
		}
		if err := t.options.Targets.Register(arn, t.ID); err != nil {
			if a := t.group.Activities.find(t.Up); a != nil {
				a.StatusMessage = aws.String(message(err))
			}
			return false
		}
		t.Attached = append(t.Attached, arn)
	}
	return true
}

// leave starts a node's way out. Its place in the group's capacity is free
// from here on.
func (c *reconcile) leave(n *node, why reason) {
	c.group.leave(n, why, c.now)
	c.changed = true
}

func (g *group) leave(n *node, why reason, now time.Time) *types.Activity {
	g.Activities.end(n.Up, types.ScalingActivityStatusCodeCancelled, "Instance was terminated before it was in service.", now)
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
func (t transition) drain() {
	if t.ID == "" {
		return // its launch has no answer yet
	}
	if !t.Forced && !t.drained() {
		return
	}
	t.State = types.LifecycleStateTerminatingProceed
	if t.Forced {
		return
	}
	t.open(terminating)
	if len(t.Actions) > 0 {
		t.State = types.LifecycleStateTerminatingWait
		t.group.Activities.progress(t.Down, types.ScalingActivityStatusCodeMidLifecycleAction, 60)
	}
}

// drained deregisters the node where it is registered and tells whether all
// its target groups have let it go.
func (t transition) drained() bool {
	for _, arn := range t.Attached {
		if state, _ := t.options.Targets.Health(arn, t.ID); !strings.Contains(state, "draining") {
			if err := t.options.Targets.Deregister(arn, t.ID); err != nil {
				t.options.Log.Info("deregistering a node failed", "instance", t.ID, "cause", err)
			}
		}
	}
	t.Attached = slices.DeleteFunc(t.Attached, func(arn string) bool {
		state, _ := t.options.Targets.Health(arn, t.ID)
		return !strings.Contains(state, "draining")
	})
	if len(t.Attached) > 0 {
		t.group.Activities.progress(t.Down, types.ScalingActivityStatusCodeWaitingForELBConnectionDraining, 30)
	}
	return len(t.Attached) == 0
}

func (t transition) awaitTerminateHooks() {
	t.expire()
	abandoned, waiting := t.verdict()
	switch {
	case abandoned != nil && t.group.retains():
		t.State, t.Actions = types.LifecycleStateTerminatingRetained, nil
		t.group.Activities.end(t.Down, types.ScalingActivityStatusCodeCancelled, abandonText(abandoned), t.now)
	case !waiting:
		t.State, t.Actions = types.LifecycleStateTerminatingProceed, nil
	}
}

// retains tells whether an abandoned termination keeps the instance.
func (g *group) retains() bool {
	p := g.Settings.InstanceLifecyclePolicy
	return p != nil && p.RetentionTriggers != nil && p.RetentionTriggers.TerminateHookAbandon == types.RetentionActionRetain
}

// finish terminates the instance and lets the node go when it is dead.
func (t transition) finish() {
	state, _, ok := t.options.Instances.State(t.ID)
	if !ok || state == string(ec2types.InstanceStateNameTerminated) {
		t.State = types.LifecycleStateTerminated
		t.group.Activities.end(t.Down, types.ScalingActivityStatusCodeSuccessful, "", t.now)
		return
	}
	if t.Ended || t.now.Before(t.NextCheck) {
		return
	}
	t.Ended, t.NextCheck = true, t.now.Add(t.scaled(checkEvery))
	t.ends = append(t.ends, t.node)
	t.changed = true
}
