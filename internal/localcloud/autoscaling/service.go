package autoscaling

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

// Instances starts, ends and looks at EC2 instances and their templates.
// Its methods may be called while the service is locked, so they must not
// call back into it; Launch and Terminate are called unlocked.
type Instances interface {
	// Launch starts an instance as RunInstances would; its errors are *wire.Error.
	Launch(ctx context.Context, spec ec2.LaunchSpec) (id string, err error)
	// Terminate is idempotent.
	Terminate(ctx context.Context, id string) error
	// State names the EC2 state (pending, running, shutting-down, terminated,
	// stopping, stopped); ok is false for an unknown instance.
	State(id string) (state, address string, ok bool)
	// TemplateVersion resolves a version, which may be $Latest or $Default,
	// of the template with either the id or the name.
	TemplateVersion(templateID, templateName, version string) (id, name string, number int64, data *ec2types.ResponseLaunchTemplateData, err error)
}

// Targets puts nodes behind load balancers. Its methods are called while the
// service is locked and must not call back into it.
type Targets interface {
	Register(targetGroupARN, instanceID string) error
	// Deregister starts draining; something unknown is no error.
	Deregister(targetGroupARN, instanceID string) error
	// Health is the target's state and reason; "unused" when it is unknown.
	Health(targetGroupARN, instanceID string) (state, reason string)
}

// Alarms tells the state of CloudWatch alarms: OK, ALARM or INSUFFICIENT_DATA.
type Alarms interface {
	AlarmState(name string) (state string, ok bool)
}

// Options are the service's neighbours and settings. Targets and Alarms may
// be nil: nothing is behind a load balancer then, and no alarm exists.
type Options struct {
	Region, Account string
	Instances       Instances
	Targets         Targets
	Alarms          Alarms
	// SubnetZone names the zone that a subnet lies in, or "". Nil or unknown,
	// a group's subnets lie in its zones in turn.
	SubnetZone func(subnetID string) string
	Speed      float64 // how many times faster than AWS's the clocks run; 0 means 1
	Changed    func()  // called, unlocked, after anything changed
	Log        *slog.Logger
}

// Service is the Auto Scaling of one account and region.
type Service struct {
	options Options
	wake    chan struct{}

	mu             sync.Mutex
	groups         []*group                     // by name
	configurations []*types.LaunchConfiguration // by name
	buried         []*types.Activity
}

// New makes a service without groups.
func New(o Options) *Service {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.SubnetZone == nil {
		o.SubnetZone = func(string) string { return "" }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Targets == nil {
		o.Targets = noTargets{}
	}
	if o.Alarms == nil {
		o.Alarms = noAlarms{}
	}
	return &Service{options: o, wake: make(chan struct{}, 1)}
}

type noTargets struct{}

func (noTargets) Register(string, string) error          { return nil }
func (noTargets) Deregister(string, string) error        { return nil }
func (noTargets) Health(string, string) (string, string) { return "unused", "Target.NotRegistered" }

type noAlarms struct{}

func (noAlarms) AlarmState(string) (string, bool) { return "", false }

// Actions are the service's operations by wire name.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"AttachLoadBalancerTargetGroups":      wire.Handle(s.attachTargetGroups),
		"CancelInstanceRefresh":               wire.Handle(s.cancelInstanceRefresh),
		"CompleteLifecycleAction":             wire.Handle(s.completeLifecycleAction),
		"CreateLaunchConfiguration":           wire.Handle(s.createConfiguration),
		"CreateAutoScalingGroup":              wire.Handle(s.createGroup),
		"CreateOrUpdateTags":                  wire.Handle(s.createOrUpdateTags),
		"DeleteAutoScalingGroup":              wire.Handle(s.deleteGroup),
		"DeleteLaunchConfiguration":           wire.Handle(s.deleteConfiguration),
		"DeleteLifecycleHook":                 wire.Handle(s.deleteLifecycleHook),
		"DeleteTags":                          wire.Handle(s.deleteTags),
		"DescribeAutoScalingGroups":           wire.Handle(s.describeGroups),
		"DescribeAutoScalingInstances":        wire.Handle(s.describeInstances),
		"DescribeInstanceRefreshes":           wire.Handle(s.describeInstanceRefreshes),
		"DescribeLaunchConfigurations":        wire.Handle(s.describeConfigurations),
		"DescribeLifecycleHooks":              wire.Handle(s.describeLifecycleHooks),
		"DescribeLoadBalancerTargetGroups":    wire.Handle(s.describeTargetGroups),
		"DescribeScalingActivities":           wire.Handle(s.describeScalingActivities),
		"DescribeTags":                        wire.Handle(s.describeTags),
		"DetachLoadBalancerTargetGroups":      wire.Handle(s.detachTargetGroups),
		"EnterStandby":                        wire.Handle(s.enterStandby),
		"ExitStandby":                         wire.Handle(s.exitStandby),
		"PutLifecycleHook":                    wire.Handle(s.putLifecycleHook),
		"RecordLifecycleActionHeartbeat":      wire.Handle(s.recordLifecycleActionHeartbeat),
		"ResumeProcesses":                     wire.Handle(s.resumeProcesses),
		"RollbackInstanceRefresh":             wire.Handle(s.rollbackInstanceRefresh),
		"SetDesiredCapacity":                  wire.Handle(s.setDesiredCapacity),
		"SetInstanceHealth":                   wire.Handle(s.setInstanceHealth),
		"SetInstanceProtection":               wire.Handle(s.setInstanceProtection),
		"StartInstanceRefresh":                wire.Handle(s.startInstanceRefresh),
		"SuspendProcesses":                    wire.Handle(s.suspendProcesses),
		"TerminateInstanceInAutoScalingGroup": wire.Handle(s.terminateInstance),
		"UpdateAutoScalingGroup":              wire.Handle(s.updateGroup),
	}
}

// change runs f locked, then has the change saved and acted on at once.
func (s *Service) change(f func() error) error {
	s.mu.Lock()
	err := f()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.options.Changed()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// changeGroup is change on one group, which must exist.
func (s *Service) changeGroup(name *string, f func(*group) error) error {
	return s.change(func() error {
		g, err := s.group(name)
		if err != nil {
			return err
		}
		return f(g)
	})
}

// group finds a group; the caller holds the lock.
func (s *Service) group(name *string) (*group, error) {
	if name == nil || *name == "" {
		return nil, invalid("1 validation error detected: Value at 'autoScalingGroupName' failed to satisfy constraint: Member must not be null")
	}
	i, ok := slices.BinarySearchFunc(s.groups, *name, compareName)
	if !ok {
		return nil, invalid("AutoScalingGroup name not found - AutoScalingGroup %s not found", *name)
	}
	return s.groups[i], nil
}

func compareName(g *group, name string) int { return strings.Compare(g.name(), name) }

// scaled is d on the local cloud's clock.
func (s *Service) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.options.Speed)
}

func (s *Service) seconds(n int32) time.Duration {
	return s.scaled(time.Duration(n) * time.Second)
}

func (s *Service) arn(rest string) string {
	return fmt.Sprintf("arn:aws:autoscaling:%s:%s:%s", s.options.Region, s.options.Account, rest)
}

// LifecycleTarget is the lifecycle state that the instance is heading for, as
// instance metadata shows it; ok is false outside any group.
func (s *Service) LifecycleTarget(instanceID string) (state string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, n := s.node(instanceID)
	if n == nil {
		return "", false
	}
	switch {
	case n.leaving():
		return "Terminated", true
	case n.State == types.LifecycleStateEnteringStandby, n.State == types.LifecycleStateStandby:
		return "Standby", true
	}
	return "InService", true
}

// node finds an instance in any group; the caller holds the lock.
func (s *Service) node(id string) (*group, *node) {
	for _, g := range s.groups {
		if n := g.node(id); n != nil {
			return g, n
		}
	}
	return nil, nil
}

type saved struct {
	Groups         []*group
	Configurations []*types.LaunchConfiguration
	Buried         []*types.Activity
}

// Snapshot is the service's state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(saved{Groups: s.groups, Configurations: s.configurations, Buried: s.buried})
}

// Restore replaces the state by a snapshot's. Nodes whose launch had no
// answer yet are forgotten; the group launches others.
func (s *Service) Restore(snapshot []byte) error {
	var from saved
	if err := json.Unmarshal(snapshot, &from); err != nil {
		return fmt.Errorf("restoring auto scaling groups: %w", err)
	}
	for _, g := range from.Groups {
		g.Nodes = slices.DeleteFunc(g.Nodes, func(n *node) bool { return n.ID == "" })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups, s.configurations, s.buried = from.Groups, from.Configurations, from.Buried
	return nil
}

func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf("ValidationError", format, args...)
}

// uuid makes a random version 4 UUID, as activities, refreshes and tokens have.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
