package autoscaling

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func (s *Service) attachTargetGroups(_ context.Context, in *autoscaling.AttachLoadBalancerTargetGroupsInput) (*autoscaling.AttachLoadBalancerTargetGroupsOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		arns := slices.Clone(g.Settings.TargetGroupARNs)
		for _, arn := range in.TargetGroupARNs {
			if slices.Contains(arns, arn) {
				continue
			}
			arns = append(arns, arn)
			if g.suspended("AddToLoadBalancer") {
				continue
			}
			for _, n := range g.Nodes {
				if !n.inService() {
					continue // it registers when it enters service
				}
				if err := s.options.Targets.Register(arn, n.ID); err != nil {
					return invalid("Attaching target group %s: %s", arn, message(err))
				}
				n.Attached = append(n.Attached, arn)
			}
		}
		g.Settings.TargetGroupARNs = arns
		return nil
	})
	return &autoscaling.AttachLoadBalancerTargetGroupsOutput{}, err
}

func (s *Service) detachTargetGroups(_ context.Context, in *autoscaling.DetachLoadBalancerTargetGroupsInput) (*autoscaling.DetachLoadBalancerTargetGroupsOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		for _, arn := range in.TargetGroupARNs {
			if !slices.Contains(g.Settings.TargetGroupARNs, arn) {
				return invalid("The target group %s is not attached to Auto Scaling group %s.", arn, g.name())
			}
		}
		detached := func(arn string) bool { return slices.Contains(in.TargetGroupARNs, arn) }
		g.Settings.TargetGroupARNs = slices.DeleteFunc(slices.Clone(g.Settings.TargetGroupARNs), detached)
		for _, n := range g.Nodes {
			for _, arn := range n.Attached {
				if !detached(arn) {
					continue
				}
				if err := s.options.Targets.Deregister(arn, n.ID); err != nil {
					s.options.Log.Info("deregistering a node failed", "instance", n.ID, "cause", err)
				}
			}
			n.Attached = slices.DeleteFunc(n.Attached, detached)
		}
		for _, arn := range in.TargetGroupARNs {
			delete(g.Passed, arn)
		}
		return nil
	})
	return &autoscaling.DetachLoadBalancerTargetGroupsOutput{}, err
}

func (s *Service) describeTargetGroups(_ context.Context, in *autoscaling.DescribeLoadBalancerTargetGroupsInput) (*autoscaling.DescribeLoadBalancerTargetGroupsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	var all []types.LoadBalancerTargetGroupState
	for _, arn := range g.Settings.TargetGroupARNs {
		all = append(all, types.LoadBalancerTargetGroupState{LoadBalancerTargetGroupARN: aws.String(arn), State: aws.String(g.attachment(arn))})
	}
	part, next, err := page(all, in.NextToken, in.MaxRecords, pageSize{Default: 100, Max: 100})
	if err != nil {
		return nil, err
	}
	return &autoscaling.DescribeLoadBalancerTargetGroupsOutput{LoadBalancerTargetGroups: part, NextToken: next}, nil
}

// attachment is Adding until every node is registered, then Added, and
// InService once a node has passed the target group's health check.
func (g *group) attachment(arn string) string {
	if g.Passed[arn] {
		return "InService"
	}
	for _, n := range g.Nodes {
		if n.inService() && !slices.Contains(n.Attached, arn) {
			return "Adding"
		}
	}
	return "Added"
}
