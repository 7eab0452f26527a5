package autoscaling

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/wire"
)

func (s *Service) startInstanceRefresh(_ context.Context, in *autoscaling.StartInstanceRefreshInput) (*autoscaling.StartInstanceRefreshOutput, error) {
	now := time.Now()
	out := &autoscaling.StartInstanceRefreshOutput{}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		r, err := s.newRefresh(g, in, now)
		if err != nil {
			return err
		}
		g.Refreshes = append(g.Refreshes, r)
		if oldest := g.Refreshes[0]; now.Sub(oldest.Created) > history {
			g.Refreshes = g.Refreshes[1:]
		}
		out.InstanceRefreshId = aws.String(r.ID)
		return nil
	})
	return out, err
}

func (s *Service) newRefresh(g *group, in *autoscaling.StartInstanceRefreshInput, now time.Time) (*refresh, error) {
	if g.active() != nil {
		return nil, wire.Errorf("InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
	}
	switch {
	case g.Deleting:
		return nil, invalid("AutoScalingGroup %s is being deleted.", g.name())
	case in.Strategy == types.RefreshStrategyReplaceRootVolume:
		return nil, invalid("The ReplaceRootVolume strategy requires a group whose overrides all name an image and that has no load balancer.")
	case in.Strategy != "" && in.Strategy != types.RefreshStrategyRolling:
		return nil, invalid("Invalid value %s for Strategy.", in.Strategy)
	}
	p, err := g.effectivePreferences(in.Preferences)
	if err != nil {
		return nil, err
	}
	r := &refresh{ID: uuid(), Status: types.InstanceRefreshStatusPending, Created: now, Preferences: p, ToUpdate: g.desired()}
	if r.Desired, err = s.desiredConfiguration(in.DesiredConfiguration); err != nil {
		return nil, err
	}
	if err := s.checkStart(g, r); err != nil {
		return nil, err
	}
	return r, s.checkAlarms(p.AlarmSpecification.Alarms)
}

// desiredConfiguration is checked, and echoed with ids and names filled in.
func (s *Service) desiredConfiguration(in *types.DesiredConfiguration) (*types.DesiredConfiguration, error) {
	if in == nil || in.LaunchTemplate == nil && in.MixedInstancesPolicy == nil {
		return nil, nil
	}
	from := source{Template: in.LaunchTemplate, Policy: in.MixedInstancesPolicy}
	if from.Template != nil && from.Policy != nil {
		return nil, invalid("The desired configuration must contain either a launch template or a mixed instances policy, not both.")
	}
	from, err := s.checkedSource(from)
	if err != nil {
		return nil, err
	}
	return &types.DesiredConfiguration{LaunchTemplate: from.Template, MixedInstancesPolicy: from.Policy}, nil
}

// checkStart refuses what the group's own configuration rules out.
func (s *Service) checkStart(g *group, r *refresh) error {
	auto, skip := *r.Preferences.AutoRollback, *r.Preferences.SkipMatching
	if auto && r.Desired == nil {
		return invalid("The request isn't valid. The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty. Set AutoRollback to false or specify a desired configuration and try again.")
	}
	if r.Desired == nil && !skip {
		return nil
	}
	switch byConfiguration := g.source().Configuration != ""; {
	case byConfiguration && auto:
		return invalid("The request isn't valid. AutoRollback cannot be set to true when the Auto Scaling group uses a launch configuration.")
	case byConfiguration && r.Desired == nil:
		return invalid("An instance refresh with skip matching is not supported for an Auto Scaling group that uses a launch configuration.")
	}
	if g.source().byRequirements() || r.source(g).byRequirements() {
		return invalid("An instance refresh with skip matching or a desired configuration is not supported for an Auto Scaling group that uses attribute-based instance type selection.")
	}
	own, err := s.resolve(g.source())
	if err != nil {
		// A group whose own template is broken can be moved to a good one,
		// but there is nothing to return to.
		if auto || r.Desired == nil {
			return invalid("You must use a valid fully-formed launch template. %s", message(err))
		}
		return nil
	}
	if own.SSM {
		return invalid("An instance refresh with skip matching or a desired configuration is not supported while the launch template of the Auto Scaling group uses a Systems Manager parameter for its AMI.")
	}
	if auto && g.source().floating() {
		return invalid("The request isn't valid. AutoRollback cannot be set to true when the launch template of the Auto Scaling group uses the $Latest or $Default version.")
	}
	return nil
}

// checkAlarms refuses a start under alarms that ring, are unsure or missing.
func (s *Service) checkAlarms(names []string) error {
	for _, name := range names {
		state, ok := s.options.Alarms.AlarmState(name)
		switch {
		case !ok:
			return invalid("The CloudWatch alarm %s does not exist.", name)
		case state != "OK":
			return invalid("The instance refresh cannot start because the CloudWatch alarm %s is in the %s state.", name, state)
		}
	}
	return nil
}

func noneActive(g *group) error {
	return wire.Errorf("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group %s", g.name())
}

func (s *Service) cancelInstanceRefresh(_ context.Context, in *autoscaling.CancelInstanceRefreshInput) (*autoscaling.CancelInstanceRefreshOutput, error) {
	out := &autoscaling.CancelInstanceRefreshOutput{}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		r := g.active()
		if r == nil || r.Status == types.InstanceRefreshStatusCancelling {
			return noneActive(g)
		}
		r.Settle = in.WaitForTransitioningInstances == nil || *in.WaitForTransitioningInstances
		r.Status, r.Reason = types.InstanceRefreshStatusCancelling, "Cancelled by user."
		g.surge = 0
		out.InstanceRefreshId = aws.String(r.ID)
		return nil
	})
	return out, err
}

func (s *Service) rollbackInstanceRefresh(_ context.Context, in *autoscaling.RollbackInstanceRefreshInput) (*autoscaling.RollbackInstanceRefreshOutput, error) {
	now := time.Now()
	out := &autoscaling.RollbackInstanceRefreshOutput{}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		r := g.active()
		if r == nil || !r.forward() {
			return noneActive(g)
		}
		if err := s.checkReversible(g, r); err != nil {
			return err
		}
		r.rollBack("Rollback requested by user.", now)
		out.InstanceRefreshId = aws.String(r.ID)
		return nil
	})
	return out, err
}

// checkReversible tells whether there is a saved configuration to return to.
func (s *Service) checkReversible(g *group, r *refresh) error {
	irreversible := func(why string) error {
		return wire.Errorf("IrreversibleInstanceRefresh", "The instance refresh cannot be rolled back: %s", why)
	}
	if r.Desired == nil {
		return irreversible("it has no desired configuration.")
	}
	if g.source().Configuration != "" {
		return irreversible("the Auto Scaling group uses a launch configuration.")
	}
	if g.source().floating() {
		return irreversible("the launch template of the Auto Scaling group uses the $Latest or $Default version.")
	}
	if own, err := s.resolve(g.source()); err == nil && own.SSM {
		return irreversible("the launch template of the Auto Scaling group uses a Systems Manager parameter for its AMI.")
	}
	return nil
}

func (s *Service) describeInstanceRefreshes(_ context.Context, in *autoscaling.DescribeInstanceRefreshesInput) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	var found []types.InstanceRefresh
	for _, r := range slices.Backward(g.Refreshes) {
		if len(in.InstanceRefreshIds) == 0 || slices.Contains(in.InstanceRefreshIds, r.ID) {
			found = append(found, r.describe(g))
		}
	}
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 50, Max: 100})
	if err != nil {
		return nil, err
	}
	return &autoscaling.DescribeInstanceRefreshesOutput{InstanceRefreshes: part, NextToken: next}, nil
}

func (r *refresh) describe(g *group) types.InstanceRefresh {
	p := r.Preferences
	out := types.InstanceRefresh{
		AutoScalingGroupName: g.Settings.AutoScalingGroupName,
		InstanceRefreshId:    aws.String(r.ID),
		Status:               r.Status,
		Preferences:          &p,
		DesiredConfiguration: r.Desired,
		RollbackDetails:      r.Rollback,
		PercentageComplete:   aws.Int32(int32(r.Percent)),
		InstancesToUpdate:    aws.Int32(int32(r.ToUpdate)),
		Strategy:             types.RefreshStrategyRolling,
	}
	if r.Reason != "" {
		out.StatusReason = aws.String(r.Reason)
	}
	if !r.Started.IsZero() {
		out.StartTime = aws.Time(r.Started)
	}
	if r.ended() {
		out.EndTime = aws.Time(r.Ended)
	}
	return out
}
