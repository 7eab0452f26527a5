package autoscaling

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func (s *Service) describeGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*group
	for _, g := range s.groups {
		if len(in.AutoScalingGroupNames) > 0 && !slices.Contains(in.AutoScalingGroupNames, g.name()) {
			continue
		}
		ok, err := g.matches(in.Filters)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, g)
		}
	}
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 50, Max: 100})
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeAutoScalingGroupsOutput{AutoScalingGroups: []types.AutoScalingGroup{}, NextToken: next}
	for _, g := range part {
		out.AutoScalingGroups = append(out.AutoScalingGroups, g.describe(in.IncludeInstances == nil || *in.IncludeInstances))
	}
	return out, nil
}

// matches tells whether the group's tags pass all filters.
func (g *group) matches(filters []types.Filter) (bool, error) {
	for _, f := range filters {
		name := aws.ToString(f.Name)
		key, byKey := strings.CutPrefix(name, "tag:")
		if !byKey && name != "tag-key" && name != "tag-value" {
			return false, invalid("Filter type %s is not correct.", name)
		}
		ok := slices.ContainsFunc(g.Settings.Tags, func(t types.TagDescription) bool {
			switch {
			case byKey:
				return *t.Key == key && slices.Contains(f.Values, *t.Value)
			case name == "tag-key":
				return slices.Contains(f.Values, *t.Key)
			}
			return slices.Contains(f.Values, *t.Value)
		})
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

func (s *Service) describeInstances(_ context.Context, in *autoscaling.DescribeAutoScalingInstancesInput) (*autoscaling.DescribeAutoScalingInstancesOutput, error) {
	if len(in.InstanceIds) > 50 {
		return nil, invalid("The number of instance ids that may be passed in is limited to 50")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []types.AutoScalingInstanceDetails
	for _, g := range s.groups {
		for _, n := range g.Nodes {
			if n.ID != "" && (len(in.InstanceIds) == 0 || slices.Contains(in.InstanceIds, n.ID)) {
				found = append(found, n.details(g.name()))
			}
		}
	}
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 50, Max: 50})
	if err != nil {
		return nil, err
	}
	return &autoscaling.DescribeAutoScalingInstancesOutput{AutoScalingInstances: part, NextToken: next}, nil
}

func (s *Service) createOrUpdateTags(_ context.Context, in *autoscaling.CreateOrUpdateTagsInput) (*autoscaling.CreateOrUpdateTagsOutput, error) {
	err := s.changeTags(in.Tags, (*group).tag)
	return &autoscaling.CreateOrUpdateTagsOutput{}, err
}

func (s *Service) deleteTags(_ context.Context, in *autoscaling.DeleteTagsInput) (*autoscaling.DeleteTagsOutput, error) {
	err := s.changeTags(in.Tags, (*group).untag)
	return &autoscaling.DeleteTagsOutput{}, err
}

// changeTags changes all tags or, when one names no group, none.
func (s *Service) changeTags(tags []types.Tag, f func(*group, types.Tag)) error {
	return s.change(func() error {
		var owners []*group
		for _, t := range tags {
			if kind := aws.ToString(t.ResourceType); kind != "" && kind != "auto-scaling-group" {
				return invalid("Invalid resource type: %s", kind)
			}
			g, err := s.group(t.ResourceId)
			if err != nil {
				return err
			}
			if aws.ToString(t.Key) == "" {
				return invalid("A tag needs a key.")
			}
			owners = append(owners, g)
		}
		for i, t := range tags {
			f(owners[i], t)
		}
		return nil
	})
}

func (g *group) tag(t types.Tag) {
	g.untag(t)
	g.Settings.Tags = append(g.Settings.Tags, types.TagDescription{
		Key: t.Key, Value: aws.String(aws.ToString(t.Value)), PropagateAtLaunch: aws.Bool(aws.ToBool(t.PropagateAtLaunch)),
		ResourceId: g.Settings.AutoScalingGroupName, ResourceType: aws.String("auto-scaling-group"),
	})
	slices.SortFunc(g.Settings.Tags, func(a, b types.TagDescription) int { return strings.Compare(*a.Key, *b.Key) })
}

// untag makes a new list: descriptions handed out earlier keep theirs.
func (g *group) untag(t types.Tag) {
	var kept []types.TagDescription
	for _, other := range g.Settings.Tags {
		if *other.Key != *t.Key {
			kept = append(kept, other)
		}
	}
	g.Settings.Tags = kept
}

func (s *Service) describeTags(_ context.Context, in *autoscaling.DescribeTagsInput) (*autoscaling.DescribeTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []types.TagDescription
	for _, g := range s.groups {
		for _, t := range g.Settings.Tags {
			if tagPasses(t, in.Filters) {
				found = append(found, t)
			}
		}
	}
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 50, Max: 100})
	if err != nil {
		return nil, err
	}
	return &autoscaling.DescribeTagsOutput{Tags: part, NextToken: next}, nil
}

func tagPasses(t types.TagDescription, filters []types.Filter) bool {
	for _, f := range filters {
		var value string
		switch aws.ToString(f.Name) {
		case "auto-scaling-group":
			value = *t.ResourceId
		case "key":
			value = *t.Key
		case "value":
			value = *t.Value
		case "propagate-at-launch":
			value = map[bool]string{true: "true", false: "false"}[*t.PropagateAtLaunch]
		}
		if !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}
