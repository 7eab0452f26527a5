package aws

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/rollout"
)

type refreshes struct{ client *autoscaling.Client }

func (r refreshes) Refreshes(ctx context.Context, group string) ([]rollout.Refresh, error) {
	all, err := r.raw(ctx, group)
	if err != nil {
		return nil, err
	}
	var found []rollout.Refresh
	for _, refresh := range all {
		found = append(found, toRefresh(refresh))
	}
	return found, nil
}

// raw are the group's refreshes as AWS describes them, newest first.
func (r refreshes) raw(ctx context.Context, group string) ([]astypes.InstanceRefresh, error) {
	pages := autoscaling.NewDescribeInstanceRefreshesPaginator(r.client, &autoscaling.DescribeInstanceRefreshesInput{
		AutoScalingGroupName: &group, MaxRecords: sdk.Int32(100),
	})
	var found []astypes.InstanceRefresh
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about(group, err)
		}
		found = append(found, page.InstanceRefreshes...)
	}
	return found, nil
}

func toRefresh(r astypes.InstanceRefresh) rollout.Refresh {
	refresh := rollout.Refresh{
		ID:        sdk.ToString(r.InstanceRefreshId),
		Status:    string(r.Status),
		Reason:    sdk.ToString(r.StatusReason),
		Percent:   number(r.PercentageComplete),
		Remaining: number(r.InstancesToUpdate),
		Started:   sdk.ToTime(r.StartTime),
		Ended:     sdk.ToTime(r.EndTime),
	}
	if d := r.DesiredConfiguration; d != nil {
		refresh.Templates = launch{template: d.LaunchTemplate, policy: d.MixedInstancesPolicy}.templates()
	}
	if r.RollbackDetails != nil {
		refresh.RollbackReason = sdk.ToString(r.RollbackDetails.RollbackReason)
	}
	return refresh
}

// Start reads the group again, for the policy that the refresh has to carry.
func (r refreshes) Start(ctx context.Context, n rollout.NewRefresh) (string, error) {
	group, err := describeGroup(ctx, r.client, n.Group)
	if err != nil {
		return "", err
	}
	desired, err := groupLaunch(group).with(n.Templates)
	if err != nil {
		return "", fmt.Errorf("refreshing group %q: %w", n.Group, err)
	}
	var id string
	err = settle(ctx, isNoTemplate, func() error {
		out, err := r.client.StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{
			AutoScalingGroupName: &n.Group,
			Strategy:             astypes.RefreshStrategyRolling,
			DesiredConfiguration: &astypes.DesiredConfiguration{LaunchTemplate: desired.template, MixedInstancesPolicy: desired.policy},
			Preferences:          fromPreferences(n.Preferences),
		})
		if err == nil {
			id = sdk.ToString(out.InstanceRefreshId)
		}
		return err
	})
	return id, about(n.Group, err)
}

// isNoTemplate is true just after a template version was made, until Auto
// Scaling has heard of it.
func isNoTemplate(err error) bool { return errors.Is(err, rollout.ErrNoTemplate) }

// fromPreferences says everything AWS has a default for, because its defaults
// change with the group; but what belongs to checkpoints or alarms is refused
// without them.
func fromPreferences(p rollout.Preferences) *astypes.RefreshPreferences {
	prefs := &astypes.RefreshPreferences{
		MinHealthyPercentage:      sdk.Int32(int32(p.MinHealthy)),
		MaxHealthyPercentage:      sdk.Int32(int32(p.MaxHealthy)),
		InstanceWarmup:            wholeSeconds(p.Warmup),
		BakeTime:                  wholeSeconds(p.BakeTime),
		SkipMatching:              &p.SkipMatching,
		AutoRollback:              &p.AutoRollback,
		ScaleInProtectedInstances: astypes.ScaleInProtectedInstances(p.Protected),
		StandbyInstances:          astypes.StandbyInstances(p.Standby),
	}
	if p.MaxHealthy == 0 {
		prefs.MaxHealthyPercentage = nil
	}
	if len(p.Checkpoints) > 0 {
		for _, percent := range p.Checkpoints {
			prefs.CheckpointPercentages = append(prefs.CheckpointPercentages, int32(percent))
		}
		prefs.CheckpointDelay = wholeSeconds(p.CheckpointDelay)
	}
	if len(p.Alarms) > 0 {
		prefs.AlarmSpecification = &astypes.AlarmSpecification{Alarms: p.Alarms}
	}
	return prefs
}

func (r refreshes) Rollback(ctx context.Context, group string) error {
	_, err := r.client.RollbackInstanceRefresh(ctx, &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: &group})
	return about(group, err)
}

func (r refreshes) Cancel(ctx context.Context, group string) error {
	_, err := r.client.CancelInstanceRefresh(ctx, &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: &group})
	return about(group, err)
}
