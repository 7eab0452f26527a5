package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// scaling are what Auto Scaling groups launch from, whoever released to them,
// and what an active refresh takes them to.
func (l *lookout) scaling(ctx context.Context) error {
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(l.clients.asg, &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: sdk.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return about("all", err)
		}
		for _, g := range page.AutoScalingGroups {
			if err := l.group(ctx, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lookout) group(ctx context.Context, g astypes.AutoScalingGroup) error {
	name := sdk.ToString(g.AutoScalingGroupName)
	if err := l.launch(ctx, groupLaunch(g), fmt.Sprintf("group %q", name)); err != nil {
		return err
	}
	all, err := refreshes{l.clients.asg}.raw(ctx, name)
	if err != nil {
		return err
	}
	for _, r := range all {
		d := r.DesiredConfiguration
		if d == nil || !toRefresh(r).Active() {
			continue
		}
		if err := l.launch(ctx, launch{template: d.LaunchTemplate, policy: d.MixedInstancesPolicy}, fmt.Sprintf("the refresh of group %q", name)); err != nil {
			return err
		}
	}
	return nil
}

// launch looks at every template and image that a launch names.
func (l *lookout) launch(ctx context.Context, from launch, by string) error {
	for _, ref := range from.templates() {
		if err := l.template(ctx, ref, fmt.Sprintf("template version %s of %s", refText(ref), by)); err != nil {
			return err
		}
	}
	if from.policy == nil || from.policy.LaunchTemplate == nil {
		return nil
	}
	for _, o := range from.policy.LaunchTemplate.Overrides {
		image, err := l.resolve(ctx, sdk.ToString(o.ImageId))
		if err != nil {
			return err
		}
		l.add("an override of "+by, image)
	}
	return nil
}

// configurations are what groups without a template launch from.
func (l *lookout) configurations(ctx context.Context) error {
	pages := autoscaling.NewDescribeLaunchConfigurationsPaginator(l.clients.asg, &autoscaling.DescribeLaunchConfigurationsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return about("all", err)
		}
		for _, c := range page.LaunchConfigurations {
			by := "launch configuration " + sdk.ToString(c.LaunchConfigurationName)
			l.add(by, sdk.ToString(c.ImageId))
			for _, m := range c.BlockDeviceMappings {
				if m.Ebs != nil {
					l.add(by, sdk.ToString(m.Ebs.SnapshotId))
				}
			}
		}
	}
	return nil
}

// resolve finds the image that a parameter names. Nothing can be launched
// while there is no such parameter.
func (l *lookout) resolve(ctx context.Context, image string) (string, error) {
	name, ok := strings.CutPrefix(image, "resolve:ssm:")
	if !ok {
		return image, nil
	}
	out, err := l.clients.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if e := (*Error)(nil); errors.As(err, &e) && (e.Code == "ParameterNotFound" || e.Code == "ParameterVersionNotFound") {
		return "", nil
	}
	if err != nil {
		return "", about(name, err)
	}
	if out.Parameter == nil {
		return "", nil
	}
	return sdk.ToString(out.Parameter.Value), nil
}
