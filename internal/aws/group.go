package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/rollout"
)

const (
	transitionLaunching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	transitionTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

type groups struct{ client *autoscaling.Client }

func (g groups) Group(ctx context.Context, name string) (rollout.Group, error) {
	found, err := describeGroup(ctx, g.client, name)
	if err != nil {
		return rollout.Group{}, err
	}
	hooks, err := g.client.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &name})
	if err != nil {
		return rollout.Group{}, about(name, err)
	}
	return toGroup(found, hooks.LifecycleHooks), nil
}

// describeGroup answers rollout.ErrNoGroup where AWS answers nothing at all.
func describeGroup(ctx context.Context, client *autoscaling.Client, name string) (astypes.AutoScalingGroup, error) {
	out, err := client.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return astypes.AutoScalingGroup{}, about(name, err)
	}
	if len(out.AutoScalingGroups) == 0 {
		return astypes.AutoScalingGroup{}, &Error{
			Service: autoscaling.ServiceID, Operation: "DescribeAutoScalingGroups", Resource: name,
			Message: rollout.ErrNoGroup.Error(), kind: rollout.ErrNoGroup,
		}
	}
	return out.AutoScalingGroups[0], nil
}

func toGroup(g astypes.AutoScalingGroup, hooks []astypes.LifecycleHook) rollout.Group {
	saved := groupLaunch(g)
	group := rollout.Group{
		Name:                sdk.ToString(g.AutoScalingGroupName),
		ARN:                 sdk.ToString(g.AutoScalingGroupARN),
		Min:                 number(g.MinSize),
		Max:                 number(g.MaxSize),
		Desired:             number(g.DesiredCapacity),
		Templates:           saved.templates(),
		Mixed:               saved.policy != nil,
		AttributeBased:      saved.attributeBased(),
		LaunchConfiguration: sdk.ToString(g.LaunchConfigurationName),
		Grace:               seconds(g.HealthCheckGracePeriod),
		Warmup:              -1,
		TargetGroups:        g.TargetGroupARNs,
		ProtectsNew:         sdk.ToBool(g.NewInstancesProtectedFromScaleIn),
	}
	for check := range strings.SplitSeq(sdk.ToString(g.HealthCheckType), ",") {
		if check = strings.TrimSpace(check); check != "" {
			group.HealthChecks = append(group.HealthChecks, check)
		}
	}
	if g.DefaultInstanceWarmup != nil {
		group.Warmup = seconds(g.DefaultInstanceWarmup)
	}
	for _, p := range g.SuspendedProcesses {
		group.Suspended = append(group.Suspended, sdk.ToString(p.ProcessName))
	}
	for _, h := range hooks {
		group.Hooks = append(group.Hooks, toHook(h))
	}
	for _, i := range g.Instances {
		group.Nodes = append(group.Nodes, toNode(i))
	}
	return group
}

func toHook(h astypes.LifecycleHook) rollout.Hook {
	return rollout.Hook{
		Name:          sdk.ToString(h.LifecycleHookName),
		Launching:     sdk.ToString(h.LifecycleTransition) == transitionLaunching,
		DefaultResult: sdk.ToString(h.DefaultResult),
		Heartbeat:     seconds(h.HeartbeatTimeout),
	}
}

func toNode(i astypes.Instance) rollout.Node {
	n := rollout.Node{
		ID:        sdk.ToString(i.InstanceId),
		Zone:      sdk.ToString(i.AvailabilityZone),
		Type:      sdk.ToString(i.InstanceType),
		Lifecycle: string(i.LifecycleState),
		Healthy:   strings.EqualFold(sdk.ToString(i.HealthStatus), "Healthy"), // some answers are in capitals
		Protected: sdk.ToBool(i.ProtectedFromScaleIn),
	}
	if i.LaunchTemplate != nil {
		n.Template = templateRef(i.LaunchTemplate)
	}
	return n
}

func (g groups) Activities(ctx context.Context, name string, since time.Time) ([]rollout.Activity, error) {
	pages := autoscaling.NewDescribeScalingActivitiesPaginator(g.client, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: &name})
	var found []rollout.Activity
	for older := false; !older && pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about(name, err)
		}
		for _, a := range page.Activities {
			started := sdk.ToTime(a.StartTime)
			if !started.Before(since) {
				found = append(found, toActivity(a))
				continue
			}
			// Running activities come first whatever their age; behind the
			// first one that has ended all are older still.
			older = older || a.EndTime != nil
		}
	}
	slices.SortStableFunc(found, func(a, b rollout.Activity) int { return b.Started.Compare(a.Started) })
	return found, nil
}

func toActivity(a astypes.Activity) rollout.Activity {
	return rollout.Activity{
		ID:          sdk.ToString(a.ActivityId),
		Status:      string(a.StatusCode),
		Description: sdk.ToString(a.Description),
		Cause:       sdk.ToString(a.Cause),
		Message:     sdk.ToString(a.StatusMessage),
		Started:     sdk.ToTime(a.StartTime),
	}
}

func (g groups) Pin(ctx context.Context, name string, versions []rollout.TemplateRef) error {
	found, err := describeGroup(ctx, g.client, name)
	if err != nil {
		return err
	}
	pinned, err := groupLaunch(found).with(versions)
	if err != nil {
		return fmt.Errorf("pinning the template of group %q: %w", name, err)
	}
	_, err = g.client.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &name, LaunchTemplate: pinned.template, MixedInstancesPolicy: pinned.policy,
	})
	return about(name, err)
}

func (g groups) PutHook(ctx context.Context, group string, hook rollout.Hook) error {
	transition := transitionTerminating
	if hook.Launching {
		transition = transitionLaunching
	}
	_, err := g.client.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: &group,
		LifecycleHookName:    &hook.Name,
		LifecycleTransition:  &transition,
		DefaultResult:        &hook.DefaultResult,
		HeartbeatTimeout:     wholeSeconds(hook.Heartbeat),
	})
	return about(group, err)
}

func number(n *int32) int { return int(sdk.ToInt32(n)) }

func seconds(n *int32) time.Duration { return time.Duration(sdk.ToInt32(n)) * time.Second }

// wholeSeconds rounds up: a wait is never shorter than asked for.
func wholeSeconds(d time.Duration) *int32 {
	return sdk.Int32(int32((d + time.Second - 1) / time.Second))
}
