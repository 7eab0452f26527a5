package elb

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	delayKey    = "deregistration_delay.timeout_seconds"
	trafficPort = "traffic-port"
)

// targetGroup is a target group and its targets in order of registration.
type targetGroup struct {
	Settings   types.TargetGroup // without the load balancers, which follow from listeners
	Attributes map[string]string
	Tags       []types.Tag
	Targets    []*target

	index map[targetKey]*target
	turn  int // round robin
}

func (g *targetGroup) arn() string  { return *g.Settings.TargetGroupArn }
func (g *targetGroup) name() string { return *g.Settings.TargetGroupName }

// interval is between two health checks of one target, by AWS's clock.
func (g *targetGroup) interval() time.Duration {
	return time.Duration(*g.Settings.HealthCheckIntervalSeconds) * time.Second
}

func (g *targetGroup) timeout() time.Duration {
	return time.Duration(*g.Settings.HealthCheckTimeoutSeconds) * time.Second
}

// delay is how long a target drains, by AWS's clock.
func (g *targetGroup) delay() time.Duration {
	seconds, err := strconv.Atoi(g.Attributes[delayKey])
	if err != nil {
		return 0 // never stored: checked when set
	}
	return time.Duration(seconds) * time.Second
}

func (s *Service) targetGroup(arn string) (*targetGroup, error) {
	for _, g := range s.state.TargetGroups {
		if g.arn() == arn {
			return g, nil
		}
	}
	return nil, noTargetGroup(arn)
}

func noTargetGroup(name string) error {
	return wire.Errorf("TargetGroupNotFound", "One or more target groups not found: '%s'", name)
}

func (s *Service) createTargetGroup(_ context.Context, in *elbv2.CreateTargetGroupInput) (*elbv2.CreateTargetGroupOutput, error) {
	g, err := s.newTargetGroup(in)
	if err != nil {
		return nil, err
	}
	var out types.TargetGroup
	err = s.change(func() error {
		if slices.ContainsFunc(s.state.TargetGroups, func(other *targetGroup) bool { return other.name() == g.name() }) {
			return wire.Errorf("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", g.name())
		}
		s.state.TargetGroups = append(s.state.TargetGroups, g)
		out = s.describe(g)
		return nil
	})
	return &elbv2.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{out}}, err
}

func (s *Service) newTargetGroup(in *elbv2.CreateTargetGroupInput) (*targetGroup, error) {
	name := aws.ToString(in.Name)
	if err := checkName("target group", name); err != nil {
		return nil, err
	}
	settings := types.TargetGroup{
		HealthCheckEnabled:         cmp.Or(in.HealthCheckEnabled, aws.Bool(true)),
		HealthCheckIntervalSeconds: cmp.Or(in.HealthCheckIntervalSeconds, aws.Int32(30)),
		HealthCheckPath:            cmp.Or(in.HealthCheckPath, aws.String("/")),
		HealthCheckPort:            cmp.Or(in.HealthCheckPort, aws.String(trafficPort)),
		HealthCheckProtocol:        cmp.Or(in.HealthCheckProtocol, types.ProtocolEnumHttp),
		HealthCheckTimeoutSeconds:  cmp.Or(in.HealthCheckTimeoutSeconds, aws.Int32(5)),
		HealthyThresholdCount:      cmp.Or(in.HealthyThresholdCount, aws.Int32(5)),
		IpAddressType:              cmp.Or(in.IpAddressType, types.TargetGroupIpAddressTypeEnumIpv4),
		Matcher:                    cmp.Or(in.Matcher, &types.Matcher{HttpCode: aws.String("200")}),
		Port:                       in.Port,
		Protocol:                   cmp.Or(in.Protocol, types.ProtocolEnumHttp),
		ProtocolVersion:            cmp.Or(in.ProtocolVersion, aws.String("HTTP1")),
		TargetGroupArn:             aws.String(s.arn("targetgroup/" + name + "/" + randomID())),
		TargetGroupName:            aws.String(name),
		TargetType:                 cmp.Or(in.TargetType, types.TargetTypeEnumInstance),
		UnhealthyThresholdCount:    cmp.Or(in.UnhealthyThresholdCount, aws.Int32(2)),
		VpcId:                      in.VpcId,
	}
	if err := checkTargetGroup(settings); err != nil {
		return nil, err
	}
	return &targetGroup{
		Settings: settings, Tags: in.Tags, index: map[targetKey]*target{},
		Attributes: map[string]string{
			delayKey:                        "300",
			"load_balancing.algorithm.type": "round_robin",
			"slow_start.duration_seconds":   "0",
			"stickiness.enabled":            "false",
		},
	}, nil
}

// checkTargetGroup refuses what AWS refuses and what is not served here.
func checkTargetGroup(g types.TargetGroup) error {
	switch {
	case g.Protocol != types.ProtocolEnumHttp || g.HealthCheckProtocol != types.ProtocolEnumHttp:
		return wire.Errorf("UnsupportedProtocol", "Only target groups that speak HTTP are served here")
	case g.TargetType != types.TargetTypeEnumInstance && g.TargetType != types.TargetTypeEnumIp:
		return invalid("Target type '%s' is not served here; 'instance' and 'ip' are", g.TargetType)
	case outside(g.Port, 1, 65535):
		return invalid("Port must be between '1' and '65535'")
	case !*g.HealthCheckEnabled:
		return invalid("Health checks cannot be disabled for target groups with target type '%s'", g.TargetType)
	case outside(g.HealthCheckIntervalSeconds, 5, 300):
		return invalid("Health check interval must be between '5' and '300' seconds")
	case outside(g.HealthCheckTimeoutSeconds, 2, 120):
		return invalid("Health check timeout must be between '2' and '120' seconds")
	case *g.HealthCheckTimeoutSeconds >= *g.HealthCheckIntervalSeconds:
		return invalid("Health check timeout '%d' must be smaller than the interval '%d'", *g.HealthCheckTimeoutSeconds, *g.HealthCheckIntervalSeconds)
	case outside(g.HealthyThresholdCount, 2, 10):
		return invalid("Healthy threshold count must be between '2' and '10'")
	case outside(g.UnhealthyThresholdCount, 2, 10):
		return invalid("Unhealthy threshold count must be between '2' and '10'")
	case len(*g.HealthCheckPath) > 1024 || (*g.HealthCheckPath)[:min(1, len(*g.HealthCheckPath))] != "/":
		return invalid("Health check path '%s' must begin with a '/' character and be at most 1024 characters long", *g.HealthCheckPath)
	}
	if port := *g.HealthCheckPort; port != trafficPort {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return invalid("Health check port '%s' must be '%s' or a number from 1 to 65535", port, trafficPort)
		}
	}
	_, err := parseMatcher(aws.ToString(g.Matcher.HttpCode))
	return err
}

func outside(value *int32, least, most int32) bool {
	return value == nil || *value < least || *value > most
}

func (s *Service) modifyTargetGroup(_ context.Context, in *elbv2.ModifyTargetGroupInput) (*elbv2.ModifyTargetGroupOutput, error) {
	var out types.TargetGroup
	err := s.change(func() error {
		g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
		if err != nil {
			return err
		}
		set := g.Settings
		set.HealthCheckEnabled = cmp.Or(in.HealthCheckEnabled, set.HealthCheckEnabled)
		set.HealthCheckIntervalSeconds = cmp.Or(in.HealthCheckIntervalSeconds, set.HealthCheckIntervalSeconds)
		set.HealthCheckPath = cmp.Or(in.HealthCheckPath, set.HealthCheckPath)
		set.HealthCheckPort = cmp.Or(in.HealthCheckPort, set.HealthCheckPort)
		set.HealthCheckProtocol = cmp.Or(in.HealthCheckProtocol, set.HealthCheckProtocol)
		set.HealthCheckTimeoutSeconds = cmp.Or(in.HealthCheckTimeoutSeconds, set.HealthCheckTimeoutSeconds)
		set.HealthyThresholdCount = cmp.Or(in.HealthyThresholdCount, set.HealthyThresholdCount)
		set.Matcher = cmp.Or(in.Matcher, set.Matcher)
		set.UnhealthyThresholdCount = cmp.Or(in.UnhealthyThresholdCount, set.UnhealthyThresholdCount)
		if err := checkTargetGroup(set); err != nil {
			return err
		}
		g.Settings = set
		out = s.describe(g)
		return nil
	})
	return &elbv2.ModifyTargetGroupOutput{TargetGroups: []types.TargetGroup{out}}, err
}

// describe adds the load balancers that send the group requests.
func (s *Service) describe(g *targetGroup) types.TargetGroup {
	out := g.Settings
	out.LoadBalancerArns = []string{}
	for _, l := range s.state.Listeners {
		if arn := *l.Settings.LoadBalancerArn; l.forwards(g.arn()) && !slices.Contains(out.LoadBalancerArns, arn) {
			out.LoadBalancerArns = append(out.LoadBalancerArns, arn)
		}
	}
	return out
}

// inUse tells whether any listener sends the group requests.
func (s *Service) inUse(g *targetGroup) bool {
	return slices.ContainsFunc(s.state.Listeners, func(l *listener) bool { return l.forwards(g.arn()) })
}

func (s *Service) describeTargetGroups(_ context.Context, in *elbv2.DescribeTargetGroupsInput) (*elbv2.DescribeTargetGroupsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := wanted(s.state.TargetGroups, in.TargetGroupArns, (*targetGroup).arn, noTargetGroup)
	if err != nil {
		return nil, err
	}
	if found, err = wanted(found, in.Names, (*targetGroup).name, noTargetGroup); err != nil {
		return nil, err
	}
	if arn := aws.ToString(in.LoadBalancerArn); arn != "" {
		if s.loadBalancer(arn) == nil {
			return nil, noLoadBalancer(arn)
		}
		found = slices.DeleteFunc(slices.Clone(found), func(g *targetGroup) bool { return !slices.Contains(s.describe(g).LoadBalancerArns, arn) })
	}
	part, next, err := page(found, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeTargetGroupsOutput{TargetGroups: []types.TargetGroup{}, NextMarker: next}
	for _, g := range part {
		out.TargetGroups = append(out.TargetGroups, s.describe(g))
	}
	return out, nil
}

func (s *Service) deleteTargetGroup(_ context.Context, in *elbv2.DeleteTargetGroupInput) (*elbv2.DeleteTargetGroupOutput, error) {
	err := s.change(func() error {
		arn := aws.ToString(in.TargetGroupArn)
		g, err := s.targetGroup(arn)
		if err != nil {
			return err
		}
		if s.inUse(g) {
			return wire.Errorf("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
		}
		for _, t := range g.Targets {
			t.stop()
		}
		s.state.TargetGroups = slices.DeleteFunc(s.state.TargetGroups, func(other *targetGroup) bool { return other == g })
		return nil
	})
	return &elbv2.DeleteTargetGroupOutput{}, err
}

func (s *Service) describeTargetGroupAttributes(_ context.Context, in *elbv2.DescribeTargetGroupAttributesInput) (*elbv2.DescribeTargetGroupAttributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
	if err != nil {
		return nil, err
	}
	return &elbv2.DescribeTargetGroupAttributesOutput{Attributes: g.attributes()}, nil
}

func (s *Service) modifyTargetGroupAttributes(_ context.Context, in *elbv2.ModifyTargetGroupAttributesInput) (*elbv2.ModifyTargetGroupAttributesOutput, error) {
	out := &elbv2.ModifyTargetGroupAttributesOutput{}
	err := s.change(func() error {
		g, err := s.targetGroup(aws.ToString(in.TargetGroupArn))
		if err != nil {
			return err
		}
		for _, a := range in.Attributes {
			if aws.ToString(a.Key) == delayKey {
				if err := checkSeconds(a.Key, a.Value, 0, 3600); err != nil {
					return err
				}
			}
		}
		for _, a := range in.Attributes {
			g.Attributes[aws.ToString(a.Key)] = aws.ToString(a.Value)
		}
		out.Attributes = g.attributes()
		return nil
	})
	return out, err
}

func (g *targetGroup) attributes() []types.TargetGroupAttribute {
	var out []types.TargetGroupAttribute
	for _, k := range sortedKeys(g.Attributes) {
		out = append(out, types.TargetGroupAttribute{Key: aws.String(k), Value: aws.String(g.Attributes[k])})
	}
	return out
}

func checkSeconds(key, value *string, least, most int) error {
	n, err := strconv.Atoi(aws.ToString(value))
	if err != nil || n < least || n > most {
		return invalid("'%s' must be between '%d' and '%d' inclusive, not '%s'", aws.ToString(key), least, most, aws.ToString(value))
	}
	return nil
}
