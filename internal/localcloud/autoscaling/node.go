package autoscaling

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	healthy   = "Healthy"
	unhealthy = "Unhealthy"
)

// node is an instance in a group, or one whose launch is under way (ID "").
type node struct {
	ID        string
	State     types.LifecycleState
	Health    string
	Choice    choice
	Place     place
	Protected bool
	Launched  time.Time
	InService time.Time
	// Refresh is the refresh under which it was launched, Rollback whether
	// that was already turning back.
	Refresh  string
	Rollback bool
	// Done is set once it was healthy past its warm-up.
	Done bool
	// Passing is what the group's health checks said when last asked.
	Passing bool
	// Checks come at NextCheck: each time while it is new, else now and then.
	NextCheck time.Time
	// Returning nodes come back from standby: no hooks, no new launch.
	Returning bool
	// Attached are the target groups in which it is registered.
	Attached []string
	// Leaving is why it is on its way out.
	Leaving reason
	// Ended is set once its instance was told to terminate.
	Ended bool
	// Forced nodes leave without draining and without hooks.
	Forced  bool
	Actions []*action
	// Verdict is the cause of its bad health, as activities tell it.
	Verdict string
	// Up and Down are the activities of its launch and of its termination.
	Up, Down string
}

// counts tells whether the node is part of the group's capacity.
func (n *node) counts() bool {
	switch n.State {
	case types.LifecycleStatePending, types.LifecycleStatePendingWait, types.LifecycleStatePendingProceed, types.LifecycleStateInService:
		return true
	}
	return false
}

func (n *node) inService() bool { return n.State == types.LifecycleStateInService }

func (n *node) leaving() bool {
	return strings.HasPrefix(string(n.State), "Terminat")
}

// transitioning tells whether a launch or a termination runs.
func (n *node) transitioning() bool {
	switch n.State {
	case types.LifecycleStateInService, types.LifecycleStateStandby, types.LifecycleStateTerminatingRetained:
		return false
	}
	return true
}

func (n *node) describe() types.Instance {
	out := types.Instance{
		InstanceId:           aws.String(n.ID),
		AvailabilityZone:     aws.String(n.Place.Zone),
		HealthStatus:         aws.String(n.Health),
		LifecycleState:       n.State,
		ProtectedFromScaleIn: aws.Bool(n.Protected),
		LaunchTemplate:       n.Choice.specification(),
	}
	out.LaunchConfigurationName = given(&n.Choice.Configuration)
	if n.Choice.InstanceType != "" {
		out.InstanceType = aws.String(n.Choice.InstanceType)
	}
	if n.Choice.Weight != "" {
		out.WeightedCapacity = aws.String(n.Choice.Weight)
	}
	return out
}

// details are the node as DescribeAutoScalingInstances shows it, which spells
// health in capitals.
func (n *node) details(group string) types.AutoScalingInstanceDetails {
	d := n.describe()
	return types.AutoScalingInstanceDetails{
		AutoScalingGroupName:    aws.String(group),
		AvailabilityZone:        d.AvailabilityZone,
		HealthStatus:            aws.String(strings.ToUpper(n.Health)),
		InstanceId:              d.InstanceId,
		InstanceType:            d.InstanceType,
		LaunchConfigurationName: d.LaunchConfigurationName,
		LaunchTemplate:          d.LaunchTemplate,
		LifecycleState:          aws.String(string(n.State)),
		ProtectedFromScaleIn:    d.ProtectedFromScaleIn,
		WeightedCapacity:        d.WeightedCapacity,
	}
}

// ready tells whether the node is of use to the site: in service, passing its
// checks, warmed up.
func (n *node) ready(now time.Time, warmup time.Duration) bool {
	return n.well() && now.Sub(n.InService) >= warmup
}

func (n *node) well() bool { return n.inService() && n.Health == healthy && n.Passing }
