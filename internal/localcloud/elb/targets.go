package elb

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

type targetKey struct {
	ID   string
	Port int32
}

// target is one registered target. Its fields are exported for its snapshot.
type target struct {
	ID     string
	Port   int32
	State  types.TargetHealthStateEnum // initial, healthy, unhealthy or draining
	Reason types.TargetHealthReasonEnum
	Text   string
	// Host is where it was reached last; Alive is false while its instance
	// does not run.
	Host  string
	Alive bool
	// Streak counts equal results of checks in a row, up for success.
	Streak     int
	NextCheck  time.Time
	DrainUntil time.Time

	checking  bool
	transport *http.Transport
	gone      chan struct{} // closed when the target is forgotten: ends its requests
}

func (t *target) key() targetKey { return targetKey{t.ID, t.Port} }

func (t *target) draining() bool { return t.State == types.TargetHealthStateEnumDraining }

func (t *target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// restart makes a target as new as one just registered.
func (t *target) restart() {
	t.State, t.Reason, t.Text = types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumRegistrationInProgress, "Target registration is in progress"
	t.Streak, t.NextCheck, t.DrainUntil = 0, time.Time{}, time.Time{}
}

// locate asks where the target is.
func (s *Service) locate(g *targetGroup, t *target) {
	if g.Settings.TargetType == types.TargetTypeEnumIp {
		t.Host, t.Alive = t.ID, true
		return
	}
	t.Host, t.Alive = s.options.Addresses.Address(t.ID)
}

func (s *Service) registerTargets(_ context.Context, in *elbv2.RegisterTargetsInput) (*elbv2.RegisterTargetsOutput, error) {
	err := s.change(func() error {
		g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
		if err != nil {
			return err
		}
		var fresh []*target
		for _, d := range in.Targets {
			t, err := s.newTarget(g, d)
			if err != nil {
				return err
			}
			fresh = append(fresh, t)
		}
		for _, t := range fresh {
			g.add(t)
		}
		return nil
	})
	return &elbv2.RegisterTargetsOutput{}, err
}

// Register adds an instance to a target group, for Auto Scaling.
func (s *Service) Register(targetGroupARN, instanceID string) error {
	return s.change(func() error {
		g, err := s.targetGroup(targetGroupARN)
		if err != nil {
			return err
		}
		t, err := s.newTarget(g, types.TargetDescription{Id: aws.String(instanceID)})
		if err != nil {
			return err
		}
		g.add(t)
		return nil
	})
}

func (s *Service) newTarget(g *targetGroup, d types.TargetDescription) (*target, error) {
	t := &target{ID: aws.ToString(d.Id), Port: *g.Settings.Port}
	if d.Port != nil {
		t.Port = *d.Port
	}
	if g.Settings.TargetType == types.TargetTypeEnumIp {
		if ip := net.ParseIP(t.ID); ip == nil || !ip.IsLoopback() {
			return nil, wire.Errorf("InvalidTarget", "The IP address '%s' is not on loopback, where all targets of the local cloud are", t.ID)
		}
	}
	s.locate(g, t)
	if !t.Alive {
		return nil, wire.Errorf("InvalidTarget", "The following targets are not in a running state and cannot be registered: '%s'", t.ID)
	}
	t.restart()
	return t, nil
}

// add registers a target. One that is registered already stays as it is; one
// that drains starts again.
func (g *targetGroup) add(t *target) {
	if old := g.index[t.key()]; old != nil {
		if old.draining() {
			old.restart()
		}
		return
	}
	t.prepare()
	g.Targets = append(g.Targets, t)
	g.index[t.key()] = t
}

func (s *Service) deregisterTargets(_ context.Context, in *elbv2.DeregisterTargetsInput) (*elbv2.DeregisterTargetsOutput, error) {
	err := s.change(func() error {
		g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
		if err != nil {
			return err
		}
		for _, d := range in.Targets {
			s.drop(g, aws.ToString(d.Id), d.Port)
		}
		return nil
	})
	return &elbv2.DeregisterTargetsOutput{}, err
}

// Deregister starts draining an instance, for Auto Scaling.
func (s *Service) Deregister(targetGroupARN, instanceID string) error {
	return s.change(func() error {
		g, err := s.targetGroup(targetGroupARN)
		if err != nil {
			return err
		}
		s.drop(g, instanceID, nil)
		return nil
	})
}

// drop takes targets out, on all ports unless one is given: those that could
// have requests drain first.
func (s *Service) drop(g *targetGroup, id string, port *int32) {
	used := s.inUse(g)
	var gone []*target
	for _, t := range g.Targets {
		if t.ID != id || port != nil && t.Port != *port || t.draining() {
			continue
		}
		if !used || g.delay() == 0 {
			gone = append(gone, t)
			continue
		}
		t.State, t.Reason, t.Text = types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress"
		t.DrainUntil = time.Now().Add(s.scaled(g.delay()))
		t.transport.CloseIdleConnections()
	}
	g.remove(gone)
}

// remove forgets targets and cuts what still runs to them.
func (g *targetGroup) remove(gone []*target) {
	if len(gone) == 0 {
		return
	}
	for _, t := range gone {
		t.stop()
		delete(g.index, t.key())
	}
	g.Targets = slices.DeleteFunc(g.Targets, func(t *target) bool { return g.index[t.key()] != t })
}

// Health is an instance's state and reason in a target group, for Auto Scaling.
func (s *Service) Health(targetGroupARN, instanceID string) (state, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.targetGroup(targetGroupARN)
	if err != nil {
		return string(types.TargetHealthStateEnumUnused), string(types.TargetHealthReasonEnumNotRegistered)
	}
	h := s.health(g, g.index[targetKey{instanceID, *g.Settings.Port}])
	return string(h.State), string(h.Reason)
}

// health is what the service says about a target, nil for one not registered.
func (s *Service) health(g *targetGroup, t *target) types.TargetHealth {
	unused := func(reason types.TargetHealthReasonEnum, text string) types.TargetHealth {
		return types.TargetHealth{State: types.TargetHealthStateEnumUnused, Reason: reason, Description: aws.String(text)}
	}
	switch {
	case t == nil:
		return unused(types.TargetHealthReasonEnumNotRegistered, "Target is not registered to the target group")
	case t.draining():
	case !t.Alive:
		return unused(types.TargetHealthReasonEnumInvalidState, "Target is in the stopped or terminated state")
	case !s.inUse(g):
		return unused(types.TargetHealthReasonEnumNotInUse, "Target group is not configured to receive traffic from the load balancer")
	case t.State == types.TargetHealthStateEnumHealthy:
		return types.TargetHealth{State: t.State}
	}
	return types.TargetHealth{State: t.State, Reason: t.Reason, Description: aws.String(t.Text)}
}

func (s *Service) describeTargetHealth(_ context.Context, in *elbv2.DescribeTargetHealthInput) (*elbv2.DescribeTargetHealthOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
	if err != nil {
		return nil, err
	}
	var keys []targetKey
	for _, t := range g.Targets {
		keys = append(keys, t.key())
	}
	if len(in.Targets) > 0 {
		keys = nil
		for _, d := range in.Targets {
			keys = append(keys, g.keysOf(d)...)
		}
	}
	out := &elbv2.DescribeTargetHealthOutput{TargetHealthDescriptions: []types.TargetHealthDescription{}}
	for _, k := range keys {
		h := s.health(g, g.index[k])
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, types.TargetHealthDescription{
			HealthCheckPort: aws.String(g.checkPort(k.Port)),
			Target:          &types.TargetDescription{Id: aws.String(k.ID), Port: aws.Int32(k.Port)},
			TargetHealth:    &h,
		})
	}
	return out, nil
}

// keysOf are the targets that a description means: on its port, or on every
// port that it is registered with, or else on the group's.
func (g *targetGroup) keysOf(d types.TargetDescription) []targetKey {
	id := aws.ToString(d.Id)
	if d.Port != nil {
		return []targetKey{{id, *d.Port}}
	}
	var keys []targetKey
	for _, t := range g.Targets {
		if t.ID == id {
			keys = append(keys, t.key())
		}
	}
	if len(keys) == 0 {
		keys = []targetKey{{id, *g.Settings.Port}}
	}
	return keys
}

func (g *targetGroup) checkPort(port int32) string {
	if p := *g.Settings.HealthCheckPort; p != trafficPort {
		return p
	}
	return fmt.Sprint(port)
}
