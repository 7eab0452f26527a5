package elb

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

type listener struct {
	Settings types.Listener
	Tags     []types.Tag

	turn int // weighted round robin over target groups
}

func (l *listener) arn() string { return *l.Settings.ListenerArn }

// weighted are the target groups that the listener forwards to.
func (l *listener) weighted() []types.TargetGroupTuple {
	for _, a := range l.Settings.DefaultActions {
		if a.Type != types.ActionTypeEnumForward {
			continue
		}
		if a.ForwardConfig != nil {
			return a.ForwardConfig.TargetGroups
		}
		return []types.TargetGroupTuple{{TargetGroupArn: a.TargetGroupArn, Weight: aws.Int32(1)}}
	}
	return nil
}

func (l *listener) forwards(arn string) bool {
	return slices.ContainsFunc(l.weighted(), func(t types.TargetGroupTuple) bool { return aws.ToString(t.TargetGroupArn) == arn })
}

// next names the target group whose turn it is, by weight.
func (l *listener) next() string {
	groups := l.weighted()
	total := 0
	for _, t := range groups {
		total += int(aws.ToInt32(t.Weight))
	}
	if total == 0 {
		return ""
	}
	at := l.turn % total
	l.turn++
	for _, t := range groups {
		if at -= int(aws.ToInt32(t.Weight)); at < 0 {
			return aws.ToString(t.TargetGroupArn)
		}
	}
	return ""
}

func noListener(arn string) error {
	return wire.Errorf("ListenerNotFound", "One or more listeners not found: '%s'", arn)
}

func (s *Service) listener(arn string) (*listener, error) {
	for _, l := range s.state.Listeners {
		if l.arn() == arn {
			return l, nil
		}
	}
	return nil, noListener(arn)
}

func (s *Service) createListener(_ context.Context, in *elbv2.CreateListenerInput) (*elbv2.CreateListenerOutput, error) {
	var out types.Listener
	err := s.change(func() error {
		l, err := s.newListener(in)
		if err != nil {
			return err
		}
		if err := s.serve(l); err != nil {
			return err
		}
		s.state.Listeners = append(s.state.Listeners, l)
		out = l.Settings
		return nil
	})
	return &elbv2.CreateListenerOutput{Listeners: []types.Listener{out}}, err
}

func (s *Service) newListener(in *elbv2.CreateListenerInput) (*listener, error) {
	b := s.loadBalancer(aws.ToString(in.LoadBalancerArn))
	if b == nil {
		return nil, noLoadBalancer(aws.ToString(in.LoadBalancerArn))
	}
	if p := cmp.Or(in.Protocol, types.ProtocolEnumHttp); p != types.ProtocolEnumHttp {
		return nil, wire.Errorf("UnsupportedProtocol", "Only HTTP listeners are served here, not '%s'", p)
	}
	if outside(in.Port, 1, 65535) {
		return nil, invalid("A listener port must be between '1' and '65535'")
	}
	for _, l := range s.state.Listeners {
		if *l.Settings.LoadBalancerArn == b.arn() && *l.Settings.Port == *in.Port {
			return nil, wire.Errorf("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", b.arn())
		}
	}
	actions, err := s.checkActions(in.DefaultActions)
	if err != nil {
		return nil, err
	}
	base := strings.Replace(b.arn(), ":loadbalancer/", ":listener/", 1)
	return &listener{Tags: in.Tags, Settings: types.Listener{
		DefaultActions:  actions,
		ListenerArn:     aws.String(base + "/" + randomID()),
		LoadBalancerArn: aws.String(b.arn()),
		Port:            in.Port,
		Protocol:        types.ProtocolEnumHttp,
	}}, nil
}

// checkActions takes one forward action and gives it both of AWS's spellings
// where it names a single target group.
func (s *Service) checkActions(in []types.Action) ([]types.Action, error) {
	if len(in) != 1 {
		return nil, invalid("A listener must have exactly one default action")
	}
	a := in[0]
	if a.Type != types.ActionTypeEnumForward {
		return nil, wire.Errorf("InvalidLoadBalancerAction", "Only actions of type 'forward' are served here, not '%s'", a.Type)
	}
	if a.ForwardConfig == nil {
		a.ForwardConfig = &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{{TargetGroupArn: a.TargetGroupArn}}}
	}
	config := types.ForwardActionConfig{TargetGroupStickinessConfig: a.ForwardConfig.TargetGroupStickinessConfig}
	for _, t := range a.ForwardConfig.TargetGroups {
		if _, err := s.targetGroup(aws.ToString(t.TargetGroupArn)); err != nil {
			return nil, err
		}
		t.Weight = cmp.Or(t.Weight, aws.Int32(1))
		if *t.Weight < 0 || *t.Weight > 999 {
			return nil, invalid("Weight must be between '0' and '999'")
		}
		config.TargetGroups = append(config.TargetGroups, t)
	}
	switch len(config.TargetGroups) {
	case 0:
		return nil, invalid("A forward action must name a target group")
	case 1:
		a.TargetGroupArn = config.TargetGroups[0].TargetGroupArn
	}
	a.ForwardConfig = &config
	return []types.Action{a}, nil
}

func (s *Service) modifyListener(_ context.Context, in *elbv2.ModifyListenerInput) (*elbv2.ModifyListenerOutput, error) {
	var out types.Listener
	err := s.change(func() error {
		l, err := s.listener(aws.ToString(in.ListenerArn))
		if err != nil {
			return err
		}
		if in.Port != nil && *in.Port != *l.Settings.Port || in.Protocol != "" && in.Protocol != l.Settings.Protocol {
			return invalid("The port and protocol of a listener cannot be changed here")
		}
		if len(in.DefaultActions) > 0 {
			actions, err := s.checkActions(in.DefaultActions)
			if err != nil {
				return err
			}
			l.Settings.DefaultActions = actions
		}
		out = l.Settings
		return nil
	})
	return &elbv2.ModifyListenerOutput{Listeners: []types.Listener{out}}, err
}

func (s *Service) describeListeners(_ context.Context, in *elbv2.DescribeListenersInput) (*elbv2.DescribeListenersOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := wanted(s.state.Listeners, in.ListenerArns, (*listener).arn, noListener)
	if err != nil {
		return nil, err
	}
	if arn := aws.ToString(in.LoadBalancerArn); arn != "" {
		if s.loadBalancer(arn) == nil {
			return nil, noLoadBalancer(arn)
		}
		found = slices.DeleteFunc(slices.Clone(found), func(l *listener) bool { return *l.Settings.LoadBalancerArn != arn })
	}
	part, next, err := page(found, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeListenersOutput{Listeners: []types.Listener{}, NextMarker: next}
	for _, l := range part {
		out.Listeners = append(out.Listeners, l.Settings)
	}
	return out, nil
}

func (s *Service) deleteListener(_ context.Context, in *elbv2.DeleteListenerInput) (*elbv2.DeleteListenerOutput, error) {
	err := s.change(func() error {
		l, err := s.listener(aws.ToString(in.ListenerArn))
		if err != nil {
			return err
		}
		s.removeListener(l)
		return nil
	})
	return &elbv2.DeleteListenerOutput{}, err
}

// removeListener closes the listener's socket and all its connections.
func (s *Service) removeListener(l *listener) {
	s.state.Listeners = slices.DeleteFunc(s.state.Listeners, func(other *listener) bool { return other == l })
	if server := s.servers[l.arn()]; server != nil {
		delete(s.servers, l.arn())
		_ = server.Close()
	}
}
