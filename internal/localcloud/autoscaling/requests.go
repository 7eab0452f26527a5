package autoscaling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// What a user may ask of a group's capacity and of single nodes.

func (s *Service) setDesiredCapacity(_ context.Context, in *autoscaling.SetDesiredCapacityInput) (*autoscaling.SetDesiredCapacityOutput, error) {
	now := time.Now()
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		if in.DesiredCapacity == nil {
			return invalid("DesiredCapacity is required.")
		}
		want, least, most := *in.DesiredCapacity, *g.Settings.MinSize, *g.Settings.MaxSize
		switch {
		case want < least:
			return invalid("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", want, least)
		case want > most:
			return invalid("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", want, most)
		}
		g.Request = fmt.Sprintf("At %s a user request explicitly set group desired capacity changing the desired capacity from %d to %d.  ", stamp(now), g.desired(), want)
		g.Settings.DesiredCapacity = aws.Int32(want)
		return nil
	})
	return &autoscaling.SetDesiredCapacityOutput{}, err
}

func (s *Service) terminateInstance(_ context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	now := time.Now()
	ids := slices.Clone(in.InstanceIds)
	if id := aws.ToString(in.InstanceId); id != "" {
		ids = append(ids, id)
	}
	out := &autoscaling.TerminateInstanceInAutoScalingGroupOutput{}
	err := s.change(func() error {
		for _, id := range ids {
			g, n := s.node(id)
			if n == nil {
				return invalid("Instance Id not found - No managed instance found for instance ID: %s", id)
			}
			a, err := g.terminate(n, aws.ToBool(in.ShouldDecrementDesiredCapacity), now)
			if err != nil {
				return err
			}
			out.Activities = append(out.Activities, *a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out.Activities) > 0 && in.InstanceId != nil {
		out.Activity = &out.Activities[len(out.Activities)-1]
	}
	return out, nil
}

// terminate takes out a node that a user named. A second request for a node
// on its way answers with the activity that already runs.
func (g *group) terminate(n *node, decrement bool, now time.Time) (*types.Activity, error) {
	switch {
	case n.State == types.LifecycleStateTerminatingRetained:
		n.State = types.LifecycleStateTerminatingProceed
		a := g.begin(n, "Terminating EC2 instance: "+n.ID, terminationCause(n, byRequest, now), now)
		n.Down = *a.ActivityId
		return a, nil
	case n.leaving():
		return g.Activities.find(n.Down), nil
	}
	if decrement && n.counts() {
		if err := g.decrement(1); err != nil {
			return nil, err
		}
	}
	return g.leave(n, byRequest, now), nil
}

// decrement lowers desired capacity along with nodes taken out of it.
func (g *group) decrement(by int) error {
	want := int32(g.desired() - by)
	if want < *g.Settings.MinSize {
		return invalid("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", *g.Settings.MinSize)
	}
	g.Settings.DesiredCapacity = aws.Int32(want)
	return nil
}

func (s *Service) setInstanceHealth(_ context.Context, in *autoscaling.SetInstanceHealthInput) (*autoscaling.SetInstanceHealthOutput, error) {
	now := time.Now()
	status := aws.ToString(in.HealthStatus)
	if status != healthy && status != unhealthy {
		return nil, invalid("Valid instance health states are: [Healthy, Unhealthy].")
	}
	err := s.change(func() error {
		g, n := s.node(aws.ToString(in.InstanceId))
		if n == nil {
			return invalid("Instance Id not found - No managed instance found for instance ID %s", aws.ToString(in.InstanceId))
		}
		grace := s.seconds(*g.Settings.HealthCheckGracePeriod)
		respected := in.ShouldRespectGracePeriod == nil || *in.ShouldRespectGracePeriod
		if status == unhealthy && respected && (!n.inService() || now.Before(n.InService.Add(grace))) {
			return nil // within the grace period the call changes nothing
		}
		if !n.leaving() {
			n.Health, n.Verdict = status, causeUser
		}
		return nil
	})
	return &autoscaling.SetInstanceHealthOutput{}, err
}

// each runs f on named nodes of a group, or on none if one is missing.
func (g *group) each(ids []string, f func(*node) error) error {
	nodes := make([]*node, 0, len(ids))
	for _, id := range ids {
		n := g.node(id)
		if n == nil {
			return invalid("The instance %s is not part of Auto Scaling group %s.", id, g.name())
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := f(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) setInstanceProtection(_ context.Context, in *autoscaling.SetInstanceProtectionInput) (*autoscaling.SetInstanceProtectionOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		return g.each(in.InstanceIds, func(n *node) error {
			n.Protected = aws.ToBool(in.ProtectedFromScaleIn)
			return nil
		})
	})
	return &autoscaling.SetInstanceProtectionOutput{}, err
}

func (s *Service) enterStandby(_ context.Context, in *autoscaling.EnterStandbyInput) (*autoscaling.EnterStandbyOutput, error) {
	now := time.Now()
	out := &autoscaling.EnterStandbyOutput{}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		if err := g.each(in.InstanceIds, func(n *node) error { return n.must(types.LifecycleStateInService) }); err != nil {
			return err
		}
		if aws.ToBool(in.ShouldDecrementDesiredCapacity) {
			if err := g.decrement(len(in.InstanceIds)); err != nil {
				return err
			}
		}
		return g.each(in.InstanceIds, func(n *node) error {
			n.State = types.LifecycleStateEnteringStandby
			a := g.begin(n, "Moving EC2 instance to Standby: "+n.ID, fmt.Sprintf("At %s instance %s was moved to standby in response to a user request.", stamp(now), n.ID), now)
			n.Down = *a.ActivityId
			out.Activities = append(out.Activities, *a)
			return nil
		})
	})
	return out, err
}

func (s *Service) exitStandby(_ context.Context, in *autoscaling.ExitStandbyInput) (*autoscaling.ExitStandbyOutput, error) {
	now := time.Now()
	out := &autoscaling.ExitStandbyOutput{}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		if err := g.each(in.InstanceIds, func(n *node) error { return n.must(types.LifecycleStateStandby) }); err != nil {
			return err
		}
		if want := g.desired() + len(in.InstanceIds); want > int(*g.Settings.MaxSize) {
			return invalid("AutoScalingGroup %s can't exit standby: the desired capacity %d would be above max size %d.", g.name(), want, *g.Settings.MaxSize)
		}
		g.Settings.DesiredCapacity = aws.Int32(int32(g.desired() + len(in.InstanceIds)))
		return g.each(in.InstanceIds, func(n *node) error {
			n.State, n.Returning = types.LifecycleStatePending, true
			a := g.begin(n, "Moving EC2 instance out of Standby: "+n.ID, fmt.Sprintf("At %s instance %s was moved out of standby in response to a user request.", stamp(now), n.ID), now)
			n.Up = *a.ActivityId
			out.Activities = append(out.Activities, *a)
			return nil
		})
	})
	return out, err
}

func (n *node) must(state types.LifecycleState) error {
	if n.State != state {
		return invalid("The instance %s is not in %s.", n.ID, state)
	}
	return nil
}
