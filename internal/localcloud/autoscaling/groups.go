package autoscaling

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	maxName         = 255
	defaultCooldown = 300
)

func (s *Service) createGroup(_ context.Context, in *autoscaling.CreateAutoScalingGroupInput) (*autoscaling.CreateAutoScalingGroupOutput, error) {
	now := time.Now()
	err := s.change(func() error {
		g, err := s.newGroup(in, now)
		if err != nil {
			return err
		}
		at, taken := slices.BinarySearchFunc(s.groups, g.name(), compareName)
		if taken {
			return wire.Errorf("AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name %s already exists", g.name())
		}
		s.groups = slices.Insert(s.groups, at, g)
		return nil
	})
	return &autoscaling.CreateAutoScalingGroupOutput{}, err
}

func (s *Service) newGroup(in *autoscaling.CreateAutoScalingGroupInput, now time.Time) (*group, error) {
	name := aws.ToString(in.AutoScalingGroupName)
	if name == "" || len(name) > maxName || strings.ContainsAny(name, ":") {
		return nil, invalid("1 validation error detected: Value '%s' at 'autoScalingGroupName' failed to satisfy constraint: Member must have length between 1 and 255 and hold no colon", name)
	}
	if in.MinSize == nil || in.MaxSize == nil {
		return nil, invalid("MinSize and MaxSize are required.")
	}
	from, err := s.checkedSource(source{in.LaunchTemplate, in.MixedInstancesPolicy, aws.ToString(in.LaunchConfigurationName)})
	if err != nil {
		return nil, err
	}
	settings := types.AutoScalingGroup{
		AutoScalingGroupARN:              aws.String(s.arn("autoScalingGroup:" + uuid() + ":autoScalingGroupName/" + name)),
		AutoScalingGroupName:             aws.String(name),
		AvailabilityZones:                in.AvailabilityZones,
		CapacityRebalance:                in.CapacityRebalance,
		Context:                          in.Context,
		CreatedTime:                      aws.Time(now),
		DefaultCooldown:                  cmp.Or(in.DefaultCooldown, aws.Int32(defaultCooldown)),
		DefaultInstanceWarmup:            in.DefaultInstanceWarmup,
		DeletionProtection:               in.DeletionProtection,
		DesiredCapacity:                  cmp.Or(in.DesiredCapacity, in.MinSize),
		HealthCheckGracePeriod:           cmp.Or(in.HealthCheckGracePeriod, aws.Int32(0)),
		HealthCheckType:                  cmp.Or(in.HealthCheckType, aws.String("EC2")),
		InstanceLifecyclePolicy:          in.InstanceLifecyclePolicy,
		InstanceMaintenancePolicy:        in.InstanceMaintenancePolicy,
		LoadBalancerNames:                in.LoadBalancerNames,
		MaxInstanceLifetime:              in.MaxInstanceLifetime,
		MaxSize:                          in.MaxSize,
		MinSize:                          in.MinSize,
		NewInstancesProtectedFromScaleIn: aws.Bool(aws.ToBool(in.NewInstancesProtectedFromScaleIn)),
		PlacementGroup:                   in.PlacementGroup,
		ServiceLinkedRoleARN:             cmp.Or(in.ServiceLinkedRoleARN, aws.String(fmt.Sprintf("arn:aws:iam::%s:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling", s.options.Account))),
		TargetGroupARNs:                  targetGroups(in),
		TerminationPolicies:              in.TerminationPolicies,
		VPCZoneIdentifier:                in.VPCZoneIdentifier,
	}
	from.give(&settings)
	g := &group{Settings: settings, Passed: map[string]bool{}, Owed: map[reason]int{}}
	return g, s.completeGroup(g, in, now)
}

// completeGroup fills in what follows from the rest, and checks the whole.
func (s *Service) completeGroup(g *group, in *autoscaling.CreateAutoScalingGroupInput, now time.Time) error {
	if len(g.Settings.TerminationPolicies) == 0 {
		g.Settings.TerminationPolicies = []string{"Default"}
	}
	subnets := splitList(aws.ToString(g.Settings.VPCZoneIdentifier))
	if len(g.Settings.AvailabilityZones) == 0 {
		g.Settings.AvailabilityZones = s.zonesOf(subnets)
	}
	if len(g.Settings.AvailabilityZones) == 0 {
		return invalid("At least one Availability Zone or VPC Subnet is required.")
	}
	for _, tag := range in.Tags {
		g.tag(tag)
	}
	for _, h := range in.LifecycleHookSpecificationList {
		err := g.putHook(&autoscaling.PutLifecycleHookInput{
			LifecycleHookName: h.LifecycleHookName, LifecycleTransition: h.LifecycleTransition, DefaultResult: h.DefaultResult,
			HeartbeatTimeout: h.HeartbeatTimeout, NotificationMetadata: h.NotificationMetadata,
			NotificationTargetARN: h.NotificationTargetARN, RoleARN: h.RoleARN,
		})
		if err != nil {
			return err
		}
	}
	g.Request = fmt.Sprintf("At %s a user request created an AutoScalingGroup changing the desired capacity from 0 to %d.  ", stamp(now), g.desired())
	return checkSettings(g.Settings)
}

// zonesOf are the zones that subnets lie in, each once.
func (s *Service) zonesOf(subnets []string) []string {
	var zones []string
	for i, subnet := range subnets {
		zone := cmp.Or(s.options.SubnetZone(subnet), zoneName(s.options.Region, i))
		if !slices.Contains(zones, zone) {
			zones = append(zones, zone)
		}
	}
	return zones
}

func targetGroups(in *autoscaling.CreateAutoScalingGroupInput) []string {
	arns := slices.Clone(in.TargetGroupARNs)
	for _, t := range in.TrafficSources {
		if arn := aws.ToString(t.Identifier); strings.Contains(arn, ":targetgroup/") && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	return arns
}

// checkSettings refuses settings that contradict each other.
func checkSettings(g types.AutoScalingGroup) error {
	least, most, desired := *g.MinSize, *g.MaxSize, *g.DesiredCapacity
	switch {
	case least < 0 || most < 0 || desired < 0:
		return invalid("Sizes must not be negative.")
	case least > most:
		return invalid("Max bound, %d, must be greater than or equal to min bound, %d", most, least)
	case desired < least:
		return invalid("Desired capacity:%d must be between the specified min size:%d and max size:%d", desired, least, most)
	case desired > most:
		return invalid("Desired capacity:%d must be between the specified min size:%d and max size:%d", desired, least, most)
	case *g.HealthCheckGracePeriod < 0:
		return invalid("HealthCheckGracePeriod must be greater than or equal to 0.")
	}
	for check := range strings.SplitSeq(*g.HealthCheckType, ",") {
		if !slices.Contains([]string{"EC2", "EBS", "ELB", "VPC_LATTICE"}, strings.TrimSpace(check)) {
			return invalid("Invalid HealthCheckType: %s", *g.HealthCheckType)
		}
	}
	if p := g.InstanceMaintenancePolicy; p != nil {
		return checkPercentages(p.MinHealthyPercentage, p.MaxHealthyPercentage)
	}
	return nil
}

func (s *Service) updateGroup(_ context.Context, in *autoscaling.UpdateAutoScalingGroupInput) (*autoscaling.UpdateAutoScalingGroupOutput, error) {
	now := time.Now()
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		settings, err := s.updated(g, in)
		if err != nil {
			return err
		}
		if err := checkSettings(settings); err != nil {
			return err
		}
		if before := g.desired(); before != int(*settings.DesiredCapacity) {
			g.Request = fmt.Sprintf("At %s a user request update of AutoScalingGroup constraints to min: %d, max: %d, desired: %d changing the desired capacity from %d to %d.  ",
				stamp(now), *settings.MinSize, *settings.MaxSize, *settings.DesiredCapacity, before, *settings.DesiredCapacity)
		}
		g.Settings = settings
		return nil
	})
	return &autoscaling.UpdateAutoScalingGroupOutput{}, err
}

// updated lays an update over a group's settings.
func (s *Service) updated(g *group, in *autoscaling.UpdateAutoScalingGroupInput) (types.AutoScalingGroup, error) {
	set := g.Settings
	if err := s.updateSource(g, in, &set); err != nil {
		return set, err
	}
	set.MinSize = cmp.Or(in.MinSize, set.MinSize)
	set.MaxSize = cmp.Or(in.MaxSize, set.MaxSize)
	set.DesiredCapacity = cmp.Or(in.DesiredCapacity, aws.Int32(min(max(*set.DesiredCapacity, *set.MinSize), *set.MaxSize)))
	set.CapacityRebalance = cmp.Or(in.CapacityRebalance, set.CapacityRebalance)
	set.Context = cmp.Or(in.Context, set.Context)
	set.DefaultCooldown = cmp.Or(in.DefaultCooldown, set.DefaultCooldown)
	set.DeletionProtection = cmp.Or(in.DeletionProtection, set.DeletionProtection)
	set.HealthCheckGracePeriod = cmp.Or(in.HealthCheckGracePeriod, set.HealthCheckGracePeriod)
	set.HealthCheckType = cmp.Or(in.HealthCheckType, set.HealthCheckType)
	set.InstanceLifecyclePolicy = cmp.Or(in.InstanceLifecyclePolicy, set.InstanceLifecyclePolicy)
	set.MaxInstanceLifetime = cmp.Or(in.MaxInstanceLifetime, set.MaxInstanceLifetime)
	set.NewInstancesProtectedFromScaleIn = cmp.Or(in.NewInstancesProtectedFromScaleIn, set.NewInstancesProtectedFromScaleIn)
	set.PlacementGroup = cmp.Or(in.PlacementGroup, set.PlacementGroup)
	set.ServiceLinkedRoleARN = cmp.Or(in.ServiceLinkedRoleARN, set.ServiceLinkedRoleARN)
	set.VPCZoneIdentifier = cmp.Or(in.VPCZoneIdentifier, set.VPCZoneIdentifier)
	if subnets := splitList(aws.ToString(in.VPCZoneIdentifier)); len(subnets) > 0 {
		set.AvailabilityZones = s.zonesOf(subnets)
	}
	if len(in.AvailabilityZones) > 0 {
		set.AvailabilityZones = in.AvailabilityZones
	}
	if len(in.TerminationPolicies) > 0 {
		set.TerminationPolicies = in.TerminationPolicies
	}
	if w := in.DefaultInstanceWarmup; w != nil {
		set.DefaultInstanceWarmup = w
		if *w == -1 { // takes the setting away
			set.DefaultInstanceWarmup = nil
		}
	}
	if p := in.InstanceMaintenancePolicy; p != nil {
		set.InstanceMaintenancePolicy = p
		if aws.ToInt32(p.MinHealthyPercentage) == -1 && aws.ToInt32(p.MaxHealthyPercentage) == -1 {
			set.InstanceMaintenancePolicy = nil
		}
	}
	return set, nil
}

// updateSource changes what the group launches from, unless a refresh with a
// desired configuration is about to do so itself.
func (s *Service) updateSource(g *group, in *autoscaling.UpdateAutoScalingGroupInput, set *types.AutoScalingGroup) error {
	if in.LaunchTemplate == nil && in.MixedInstancesPolicy == nil && in.LaunchConfigurationName == nil {
		return nil
	}
	if r := g.active(); r != nil && r.Desired != nil {
		return invalid("An active instance refresh with a desired configuration exists. All configuration options derived from the desired configuration are not available for update while the instance refresh is active.")
	}
	from, err := s.checkedSource(source{in.LaunchTemplate, in.MixedInstancesPolicy, aws.ToString(in.LaunchConfigurationName)})
	if err != nil {
		return err
	}
	from.give(set)
	return nil
}

func (s *Service) deleteGroup(_ context.Context, in *autoscaling.DeleteAutoScalingGroupInput) (*autoscaling.DeleteAutoScalingGroupOutput, error) {
	now := time.Now()
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		force := aws.ToBool(in.ForceDelete)
		if err := g.deletable(force); err != nil {
			return err
		}
		g.Deleting = true
		if r := g.active(); r != nil {
			r.Status, r.Reason, r.Ended = types.InstanceRefreshStatusCancelled, "The Auto Scaling group was deleted.", now
		}
		for _, n := range g.Nodes {
			n.Forced = true
			if !n.leaving() {
				g.leave(n, byRequest, now)
			} else {
				n.State = types.LifecycleStateTerminatingProceed
			}
		}
		return nil
	})
	return &autoscaling.DeleteAutoScalingGroupOutput{}, err
}

func (g *group) deletable(force bool) error {
	switch p := g.Settings.DeletionProtection; {
	case p == types.DeletionProtectionPreventAllDeletion, p == types.DeletionProtectionPreventForceDeletion && force:
		return invalid("AutoScalingGroup %s is protected from deletion (%s).", g.name(), p)
	case force:
		return nil
	}
	if slices.ContainsFunc(g.Nodes, func(n *node) bool { return n.counts() || n.State == types.LifecycleStateStandby }) {
		return wire.Errorf("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	}
	if len(g.Nodes) > 0 {
		return wire.Errorf("ScalingActivityInProgress", "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.")
	}
	return nil
}
