package autoscaling

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// group is an Auto Scaling group. Its fields are exported for its snapshot.
type group struct {
	// Settings are what a description shows, without the instances.
	Settings   types.AutoScalingGroup
	Nodes      []*node // in order of launch
	Hooks      hookList
	Activities activityLog
	// Refreshes are in order of their start; only the last can be active.
	Refreshes []*refresh
	// Passed are the target groups in which a node was healthy at least once:
	// only their verdicts count.
	Passed map[string]bool
	// Owed counts replacements that were promised by terminations, by why.
	Owed map[reason]int
	// Failures in a row of launches, and when the next one may be tried.
	Failures int
	RetryAt  time.Time
	// Request is a user's change of capacity that is being carried out, in
	// the words of activities.
	Request  string
	Deleting bool

	surge       int // nodes beyond desired that the refresh wants now
	healthSurge int // the same for replacing unhealthy nodes launch first
}

func (g *group) name() string { return *g.Settings.AutoScalingGroupName }

func (g *group) desired() int { return int(aws.ToInt32(g.Settings.DesiredCapacity)) }

func (g *group) node(id string) *node {
	for _, n := range g.Nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// capacity counts the nodes that make up the group's capacity: all that are
// not on their way out and not standing by.
func (g *group) capacity() int {
	count := 0
	for _, n := range g.Nodes {
		if n.counts() {
			count++
		}
	}
	return count
}

func (g *group) suspended(process string) bool {
	return slices.ContainsFunc(g.Settings.SuspendedProcesses, func(p types.SuspendedProcess) bool {
		return aws.ToString(p.ProcessName) == process
	})
}

// checksELB tells whether load balancers have a say in the nodes' health.
func (g *group) checksELB() bool {
	for check := range strings.SplitSeq(aws.ToString(g.Settings.HealthCheckType), ",") {
		if strings.TrimSpace(check) == "ELB" {
			return true
		}
	}
	return false
}

// active is the refresh that has not ended yet, or nil.
func (g *group) active() *refresh {
	if len(g.Refreshes) == 0 {
		return nil
	}
	if r := g.Refreshes[len(g.Refreshes)-1]; !r.ended() {
		return r
	}
	return nil
}

// source is what the group launches from by its own configuration.
func (g *group) source() source {
	return source{g.Settings.LaunchTemplate, g.Settings.MixedInstancesPolicy, aws.ToString(g.Settings.LaunchConfigurationName)}
}

// launchSource is what the group launches from now: a refresh with a desired
// configuration has its way for every launch until it ends or turns back.
func (g *group) launchSource() source {
	if r := g.active(); r != nil && r.Desired != nil && r.forward() {
		return r.source(g)
	}
	return g.source()
}

// place is where a node can be launched.
type place struct{ Zone, Subnet string }

// places are the group's subnets, or its zones if it has none.
func (s *Service) places(g *group) []place {
	zones := g.Settings.AvailabilityZones
	var out []place
	for i, subnet := range splitList(aws.ToString(g.Settings.VPCZoneIdentifier)) {
		zone := s.options.SubnetZone(subnet)
		if zone == "" {
			zone = zones[i%len(zones)]
		}
		out = append(out, place{Zone: zone, Subnet: subnet})
	}
	if len(out) > 0 {
		return out
	}
	for _, zone := range zones {
		out = append(out, place{Zone: zone})
	}
	return out
}

func zoneName(region string, i int) string { return region + string(rune('a'+i%3)) }

func splitList(list string) []string {
	var out []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// nodeTags are the tags that the group hands on to its instances.
func (g *group) nodeTags() map[string]string {
	tags := map[string]string{"aws:autoscaling:groupName": g.name()}
	for _, t := range g.Settings.Tags {
		if aws.ToBool(t.PropagateAtLaunch) {
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	return tags
}

// describe is the group as DescribeAutoScalingGroups shows it.
func (g *group) describe(instances bool) types.AutoScalingGroup {
	out := g.Settings
	for _, arn := range out.TargetGroupARNs {
		out.TrafficSources = append(out.TrafficSources, types.TrafficSourceIdentifier{Identifier: aws.String(arn), Type: aws.String("elbv2")})
	}
	if g.Deleting {
		out.Status = aws.String("Delete in progress")
	}
	if !instances {
		return out
	}
	for _, n := range g.Nodes {
		if n.ID != "" {
			out.Instances = append(out.Instances, n.describe())
		}
	}
	return out
}
