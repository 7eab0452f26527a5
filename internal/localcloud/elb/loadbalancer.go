package elb

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// dnsName is every load balancer's: its listeners are on loopback.
const dnsName = "localhost"

type loadBalancer struct {
	Settings   types.LoadBalancer
	Attributes map[string]string
	Tags       []types.Tag
}

func (b *loadBalancer) arn() string { return *b.Settings.LoadBalancerArn }

func (s *Service) loadBalancer(arn string) *loadBalancer {
	for _, b := range s.state.LoadBalancers {
		if b.arn() == arn {
			return b
		}
	}
	return nil
}

func noLoadBalancer(name string) error {
	return wire.Errorf("LoadBalancerNotFound", "Load balancer '%s' not found", name)
}

// checkName refuses what AWS does not take as a name of kind.
func checkName(kind, name string) error {
	switch {
	case name == "":
		return invalid("A %s name must be specified", kind)
	case len(name) > 32:
		return invalid("The %s name '%s' cannot be longer than '32' characters", kind, name)
	case !regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`).MatchString(name):
		return invalid("The %s name '%s' must contain only alphanumeric characters or hyphens, and must not begin or end with a hyphen", kind, name)
	}
	return nil
}

func (s *Service) createLoadBalancer(_ context.Context, in *elbv2.CreateLoadBalancerInput) (*elbv2.CreateLoadBalancerOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkName("load balancer", name); err != nil {
		return nil, err
	}
	if in.Type != "" && in.Type != types.LoadBalancerTypeEnumApplication {
		return nil, wire.Errorf("InvalidConfigurationRequest", "The load balancer type '%s' is not served here; only 'application' is", in.Type)
	}
	var out types.LoadBalancer
	err := s.change(func() error {
		for _, b := range s.state.LoadBalancers {
			if *b.Settings.LoadBalancerName == name {
				return wire.Errorf("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", name)
			}
		}
		b := s.newLoadBalancer(name, in)
		s.state.LoadBalancers = append(s.state.LoadBalancers, b)
		out = b.Settings
		return nil
	})
	return &elbv2.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{out}}, err
}

func (s *Service) newLoadBalancer(name string, in *elbv2.CreateLoadBalancerInput) *loadBalancer {
	subnets := slices.Clone(in.Subnets)
	for _, m := range in.SubnetMappings {
		subnets = append(subnets, aws.ToString(m.SubnetId))
	}
	var zones []types.AvailabilityZone
	for i, subnet := range subnets {
		zones = append(zones, types.AvailabilityZone{
			SubnetId: aws.String(subnet), ZoneName: aws.String(s.options.Region + string(rune('a'+i%3))),
		})
	}
	return &loadBalancer{
		Tags: in.Tags,
		Attributes: map[string]string{
			"deletion_protection.enabled":               "false",
			"idle_timeout.timeout_seconds":              "60",
			"client_keep_alive.seconds":                 "3600",
			"load_balancing.cross_zone.enabled":         "true",
			"routing.http.preserve_host_header.enabled": "true",
			"routing.http2.enabled":                     "false",
		},
		Settings: types.LoadBalancer{
			AvailabilityZones: zones,
			CreatedTime:       aws.Time(time.Now()),
			DNSName:           aws.String(dnsName),
			IpAddressType:     types.IpAddressTypeIpv4,
			LoadBalancerArn:   aws.String(s.arn("loadbalancer/app/" + name + "/" + randomID())),
			LoadBalancerName:  aws.String(name),
			Scheme:            cmp.Or(in.Scheme, types.LoadBalancerSchemeEnumInternetFacing),
			SecurityGroups:    in.SecurityGroups,
			State:             &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive},
			Type:              types.LoadBalancerTypeEnumApplication,
		},
	}
}

func (s *Service) describeLoadBalancers(_ context.Context, in *elbv2.DescribeLoadBalancersInput) (*elbv2.DescribeLoadBalancersOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := wanted(s.state.LoadBalancers, in.LoadBalancerArns, (*loadBalancer).arn, noLoadBalancer)
	if err != nil {
		return nil, err
	}
	found, err = wanted(found, in.Names, func(b *loadBalancer) string { return *b.Settings.LoadBalancerName }, noLoadBalancer)
	if err != nil {
		return nil, err
	}
	part, next, err := page(found, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeLoadBalancersOutput{LoadBalancers: []types.LoadBalancer{}, NextMarker: next}
	for _, b := range part {
		out.LoadBalancers = append(out.LoadBalancers, b.Settings)
	}
	return out, nil
}

// deleteLoadBalancer succeeds for one that does not exist, as AWS does.
func (s *Service) deleteLoadBalancer(_ context.Context, in *elbv2.DeleteLoadBalancerInput) (*elbv2.DeleteLoadBalancerOutput, error) {
	err := s.change(func() error {
		arn := aws.ToString(in.LoadBalancerArn)
		b := s.loadBalancer(arn)
		if b == nil {
			return nil
		}
		if b.Attributes["deletion_protection.enabled"] == "true" {
			return wire.Errorf("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled", arn)
		}
		for _, l := range slices.Clone(s.state.Listeners) {
			if *l.Settings.LoadBalancerArn == arn {
				s.removeListener(l)
			}
		}
		s.state.LoadBalancers = slices.DeleteFunc(s.state.LoadBalancers, func(other *loadBalancer) bool { return other == b })
		return nil
	})
	return &elbv2.DeleteLoadBalancerOutput{}, err
}

func (s *Service) describeLoadBalancerAttributes(_ context.Context, in *elbv2.DescribeLoadBalancerAttributesInput) (*elbv2.DescribeLoadBalancerAttributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.loadBalancer(aws.ToString(in.LoadBalancerArn))
	if b == nil {
		return nil, noLoadBalancer(aws.ToString(in.LoadBalancerArn))
	}
	return &elbv2.DescribeLoadBalancerAttributesOutput{Attributes: b.attributes()}, nil
}

func (s *Service) modifyLoadBalancerAttributes(_ context.Context, in *elbv2.ModifyLoadBalancerAttributesInput) (*elbv2.ModifyLoadBalancerAttributesOutput, error) {
	out := &elbv2.ModifyLoadBalancerAttributesOutput{}
	err := s.change(func() error {
		b := s.loadBalancer(aws.ToString(in.LoadBalancerArn))
		if b == nil {
			return noLoadBalancer(aws.ToString(in.LoadBalancerArn))
		}
		for _, a := range in.Attributes {
			if aws.ToString(a.Key) == "idle_timeout.timeout_seconds" {
				if err := checkSeconds(a.Key, a.Value, 1, 4000); err != nil {
					return err
				}
			}
		}
		for _, a := range in.Attributes {
			b.Attributes[aws.ToString(a.Key)] = aws.ToString(a.Value)
		}
		out.Attributes = b.attributes()
		return nil
	})
	return out, err
}

func (b *loadBalancer) attributes() []types.LoadBalancerAttribute {
	var out []types.LoadBalancerAttribute
	for _, k := range sortedKeys(b.Attributes) {
		out = append(out, types.LoadBalancerAttribute{Key: aws.String(k), Value: aws.String(b.Attributes[k])})
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Tags hang on load balancers, listeners and target groups alike.

func (s *Service) tags(arn string) (*[]types.Tag, error) {
	for _, b := range s.state.LoadBalancers {
		if b.arn() == arn {
			return &b.Tags, nil
		}
	}
	for _, l := range s.state.Listeners {
		if l.arn() == arn {
			return &l.Tags, nil
		}
	}
	for _, g := range s.state.TargetGroups {
		if g.arn() == arn {
			return &g.Tags, nil
		}
	}
	code := "LoadBalancerNotFound"
	if strings.Contains(arn, ":targetgroup/") {
		code = "TargetGroupNotFound"
	}
	return nil, wire.Errorf(code, "%s", fmt.Sprintf("'%s' not found", arn))
}

func (s *Service) addTags(_ context.Context, in *elbv2.AddTagsInput) (*elbv2.AddTagsOutput, error) {
	keys := make([]string, 0, len(in.Tags))
	for _, t := range in.Tags {
		keys = append(keys, aws.ToString(t.Key))
	}
	return &elbv2.AddTagsOutput{}, s.retag(in.ResourceArns, keys, in.Tags)
}

func (s *Service) removeTags(_ context.Context, in *elbv2.RemoveTagsInput) (*elbv2.RemoveTagsOutput, error) {
	return &elbv2.RemoveTagsOutput{}, s.retag(in.ResourceArns, in.TagKeys, nil)
}

// retag takes the tags with keys away and puts others in their place.
func (s *Service) retag(arns, keys []string, put []types.Tag) error {
	return s.change(func() error {
		for _, arn := range arns {
			tags, err := s.tags(arn)
			if err != nil {
				return err
			}
			kept := slices.DeleteFunc(slices.Clone(*tags), func(t types.Tag) bool { return slices.Contains(keys, aws.ToString(t.Key)) })
			*tags = append(kept, put...)
		}
		return nil
	})
}

func (s *Service) describeTags(_ context.Context, in *elbv2.DescribeTagsInput) (*elbv2.DescribeTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &elbv2.DescribeTagsOutput{}
	for _, arn := range in.ResourceArns {
		tags, err := s.tags(arn)
		if err != nil {
			return nil, err
		}
		out.TagDescriptions = append(out.TagDescriptions, types.TagDescription{ResourceArn: aws.String(arn), Tags: *tags})
	}
	return out, nil
}
