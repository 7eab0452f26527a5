package localcloud

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkautoscaling "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// Status is the cloud in short, for people.
type Status struct {
	PID           int              `json:"pid"`
	Endpoint      string           `json:"endpoint"`
	Region        string           `json:"region"`
	Account       string           `json:"account"`
	SSHPort       int              `json:"ssh_port,omitempty"` // on each instance's address
	Groups        []GroupStatus    `json:"groups"`
	Instances     []InstanceStatus `json:"instances"`
	Refreshes     []RefreshStatus  `json:"refreshes"` // the newest of each group
	LoadBalancers []BalancerStatus `json:"load_balancers"`
	Faults        []fault          `json:"faults"`
}

// GroupStatus is an Auto Scaling group.
type GroupStatus struct {
	Name     string       `json:"name"`
	Template string       `json:"template,omitempty"` // NAME:VERSION
	Min      int32        `json:"min"`
	Desired  int32        `json:"desired"`
	Max      int32        `json:"max"`
	Nodes    []NodeStatus `json:"nodes"`
}

// NodeStatus is an instance as its group sees it.
type NodeStatus struct {
	ID        string `json:"id"`
	Lifecycle string `json:"lifecycle"`
	Health    string `json:"health"`
	Template  string `json:"template,omitempty"`
}

// InstanceStatus is an instance as EC2 sees it.
type InstanceStatus struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Address string `json:"address,omitempty"`
	Image   string `json:"image"`
	Type    string `json:"type"`
	Zone    string `json:"zone"`
	Reason  string `json:"reason,omitempty"`
}

// RefreshStatus is an instance refresh.
type RefreshStatus struct {
	Group   string `json:"group"`
	ID      string `json:"id"`
	Status  string `json:"status"`
	Percent int32  `json:"percent"`
	Reason  string `json:"reason,omitempty"`
}

// BalancerStatus is a load balancer with where it is served.
type BalancerStatus struct {
	Name string   `json:"name"`
	URLs []string `json:"urls"`
}

// Status asks the services what a client would ask them.
func (c *Cloud) Status(ctx context.Context) (Status, error) {
	status := Status{
		PID: os.Getpid(), Endpoint: c.options.Endpoint, Region: c.options.Region, Account: c.options.Account, Faults: c.faults.list(), SSHPort: c.sshPort,
		Groups: []GroupStatus{}, Instances: []InstanceStatus{}, Refreshes: []RefreshStatus{}, LoadBalancers: []BalancerStatus{},
	}
	for _, add := range []func(context.Context, *Status) error{c.addGroups, c.addInstances, c.addRefreshes, c.addBalancers} {
		if err := add(ctx, &status); err != nil {
			return Status{}, err
		}
	}
	return status, nil
}

// ask calls one of a service's own actions.
func ask[Out any](ctx context.Context, actions wire.Actions, name string, input any) (*Out, error) {
	out, err := actions[name].Call(ctx, input)
	if err != nil {
		return nil, err
	}
	return out.(*Out), nil
}

func (c *Cloud) addGroups(ctx context.Context, status *Status) error {
	input := &sdkautoscaling.DescribeAutoScalingGroupsInput{}
	for {
		out, err := ask[sdkautoscaling.DescribeAutoScalingGroupsOutput](ctx, c.autoscaling.Actions(), "DescribeAutoScalingGroups", input)
		if err != nil {
			return err
		}
		for _, g := range out.AutoScalingGroups {
			status.Groups = append(status.Groups, groupStatus(g))
		}
		if input.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return nil
		}
	}
}

func groupStatus(g astypes.AutoScalingGroup) GroupStatus {
	group := GroupStatus{
		Name: aws.ToString(g.AutoScalingGroupName), Template: templateText(g.LaunchTemplate), Nodes: []NodeStatus{},
		Min: aws.ToInt32(g.MinSize), Desired: aws.ToInt32(g.DesiredCapacity), Max: aws.ToInt32(g.MaxSize),
	}
	if policy := g.MixedInstancesPolicy; policy != nil && policy.LaunchTemplate != nil {
		group.Template = templateText(policy.LaunchTemplate.LaunchTemplateSpecification)
	}
	for _, i := range g.Instances {
		group.Nodes = append(group.Nodes, NodeStatus{
			ID: aws.ToString(i.InstanceId), Lifecycle: string(i.LifecycleState), Health: aws.ToString(i.HealthStatus),
			Template: templateText(i.LaunchTemplate),
		})
	}
	return group
}

func templateText(t *astypes.LaunchTemplateSpecification) string {
	if t == nil {
		return ""
	}
	name := aws.ToString(t.LaunchTemplateName)
	if name == "" {
		name = aws.ToString(t.LaunchTemplateId)
	}
	return name + ":" + aws.ToString(t.Version)
}

func (c *Cloud) addInstances(ctx context.Context, status *Status) error {
	input := &sdkec2.DescribeInstancesInput{}
	for {
		out, err := ask[sdkec2.DescribeInstancesOutput](ctx, c.ec2.Actions(), "DescribeInstances", input)
		if err != nil {
			return err
		}
		for _, reservation := range out.Reservations {
			for _, i := range reservation.Instances {
				status.Instances = append(status.Instances, instanceStatus(i))
			}
		}
		if input.NextToken = out.NextToken; out.NextToken == nil {
			return nil
		}
	}
}

func instanceStatus(i types.Instance) InstanceStatus {
	return InstanceStatus{
		ID: aws.ToString(i.InstanceId), State: string(i.State.Name), Address: aws.ToString(i.PrivateIpAddress),
		Image: aws.ToString(i.ImageId), Type: string(i.InstanceType), Zone: aws.ToString(i.Placement.AvailabilityZone),
		Reason: aws.ToString(i.StateTransitionReason),
	}
}

func (c *Cloud) addRefreshes(ctx context.Context, status *Status) error {
	for _, g := range status.Groups {
		out, err := ask[sdkautoscaling.DescribeInstanceRefreshesOutput](ctx, c.autoscaling.Actions(), "DescribeInstanceRefreshes",
			&sdkautoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(g.Name)})
		if err != nil {
			return err
		}
		if len(out.InstanceRefreshes) > 0 {
			r := out.InstanceRefreshes[0]
			status.Refreshes = append(status.Refreshes, RefreshStatus{
				Group: g.Name, ID: aws.ToString(r.InstanceRefreshId), Status: string(r.Status),
				Percent: aws.ToInt32(r.PercentageComplete), Reason: aws.ToString(r.StatusReason),
			})
		}
	}
	return nil
}

func (c *Cloud) addBalancers(_ context.Context, status *Status) error {
	for _, e := range c.elb.Endpoints() {
		last := len(status.LoadBalancers) - 1
		if last < 0 || status.LoadBalancers[last].Name != e.LoadBalancer {
			status.LoadBalancers = append(status.LoadBalancers, BalancerStatus{Name: e.LoadBalancer})
			last++
		}
		status.LoadBalancers[last].URLs = append(status.LoadBalancers[last].URLs, e.URL)
	}
	return nil
}
