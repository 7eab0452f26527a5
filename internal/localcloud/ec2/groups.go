package ec2

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// securityGroup is one besides the default group. What it allows is kept and
// told; on loopback nothing is closed.
type securityGroup struct {
	ID, Name, Description string
	Ingress               []types.IpPermission
	Created               time.Time
}

func (s *Service) securityGroupArn(id string) *string {
	return aws.String("arn:aws:ec2:" + s.options.Region + ":" + s.options.Account + ":security-group/" + id)
}

// allGroups are the default group and the others; it needs the mutex.
func (s *Service) allGroups() []types.SecurityGroup {
	everything := []types.IpPermission{{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}
	all := []types.SecurityGroup{{
		GroupId: aws.String(groupID), GroupName: aws.String("default"), Description: aws.String("default VPC security group"),
		IpPermissions: []types.IpPermission{{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{
			GroupId: aws.String(groupID), UserId: aws.String(s.options.Account),
		}}}},
	}}
	for _, g := range s.state.Groups {
		if s.visible(g.Created) {
			all = append(all, types.SecurityGroup{
				GroupId: aws.String(g.ID), GroupName: aws.String(g.Name), Description: aws.String(g.Description), IpPermissions: slices.Clone(g.Ingress),
			})
		}
	}
	for n := range all {
		one := &all[n]
		one.VpcId, one.OwnerId, one.Tags = aws.String(vpcID), aws.String(s.options.Account), s.tagsOf(*one.GroupId)
		one.SecurityGroupArn, one.IpPermissionsEgress = s.securityGroupArn(*one.GroupId), everything
	}
	return all
}

// findGroup finds by id, or else by name; it needs the mutex.
func (s *Service) findGroup(id, name string) (types.SecurityGroup, error) {
	for _, one := range s.allGroups() {
		if *one.GroupId == id || id == "" && *one.GroupName == name {
			return one, nil
		}
	}
	if id == "" {
		return types.SecurityGroup{}, wire.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC '%s'", name, vpcID)
	}
	return types.SecurityGroup{}, wire.Errorf("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

// groupsOf are the groups that an instance's data names; it needs the mutex.
func (s *Service) groupsOf(data *types.ResponseLaunchTemplateData) ([]types.GroupIdentifier, error) {
	ids, names := slices.Clone(data.SecurityGroupIds), data.SecurityGroups
	for _, network := range data.NetworkInterfaces {
		ids = append(ids, network.Groups...)
	}
	if len(ids)+len(names) == 0 {
		ids = []string{groupID}
	}
	var groups []types.GroupIdentifier
	add := func(id, name string) error {
		one, err := s.findGroup(id, name)
		if err == nil {
			groups = append(groups, types.GroupIdentifier{GroupId: one.GroupId, GroupName: one.GroupName})
		}
		return err
	}
	for _, id := range ids {
		if err := add(id, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if err := add("", name); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

func (s *Service) createSecurityGroup(_ context.Context, in *ec2.CreateSecurityGroupInput) (*ec2.CreateSecurityGroupOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeSecurityGroup)
	if err != nil {
		return nil, err
	}
	g := &securityGroup{ID: newID("sg"), Name: aws.ToString(in.GroupName), Description: aws.ToString(in.Description), Created: time.Now().UTC()}
	switch {
	case g.Name == "" || g.Description == "":
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameters GroupName and GroupDescription")
	case aws.ToString(in.VpcId) != "" && *in.VpcId != vpcID: // clients send an empty one
		return nil, wire.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", *in.VpcId)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.Name == "default" || slices.ContainsFunc(s.state.Groups, func(other *securityGroup) bool { return other.Name == g.Name }) {
		return nil, wire.Errorf("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, vpcID)
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.state.Groups = append(s.state.Groups, g)
	s.addTags(g.ID, tags)
	s.options.Changed()
	return &ec2.CreateSecurityGroupOutput{GroupId: &g.ID, SecurityGroupArn: s.securityGroupArn(g.ID), Tags: s.tagsOf(g.ID)}, nil
}

func (s *Service) deleteSecurityGroup(_ context.Context, in *ec2.DeleteSecurityGroupInput) (*ec2.DeleteSecurityGroupOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.findGroup(aws.ToString(in.GroupId), aws.ToString(in.GroupName))
	if err != nil {
		return nil, err
	}
	if *one.GroupId == groupID {
		return nil, wire.Errorf("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", groupID)
	}
	for _, i := range s.state.Instances {
		used, _ := s.groupsOf(&i.Data)
		if i.State != types.InstanceStateNameTerminated && slices.ContainsFunc(used, func(g types.GroupIdentifier) bool { return *g.GroupId == *one.GroupId }) {
			return nil, wire.Errorf("DependencyViolation", "resource %s has a dependent object", *one.GroupId)
		}
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.state.Groups = slices.DeleteFunc(s.state.Groups, func(g *securityGroup) bool { return g.ID == *one.GroupId })
	delete(s.state.Tags, *one.GroupId)
	s.options.Changed()
	return &ec2.DeleteSecurityGroupOutput{Return: aws.Bool(true), GroupId: one.GroupId}, nil
}

func (s *Service) authorizeSecurityGroupIngress(_ context.Context, in *ec2.AuthorizeSecurityGroupIngressInput) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	added := slices.Clone(in.IpPermissions)
	if in.IpProtocol != nil {
		one := types.IpPermission{IpProtocol: in.IpProtocol, FromPort: in.FromPort, ToPort: in.ToPort}
		if in.CidrIp != nil {
			one.IpRanges = []types.IpRange{{CidrIp: in.CidrIp}}
		}
		added = append(added, one)
	}
	if len(added) == 0 {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter ipPermissions")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.ownGroup(aws.ToString(in.GroupId), aws.ToString(in.GroupName))
	if err != nil {
		return nil, err
	}
	for _, one := range added {
		if slices.ContainsFunc(g.Ingress, func(other types.IpPermission) bool { return reflect.DeepEqual(one, other) }) {
			return nil, wire.Errorf("InvalidPermission.Duplicate", "the specified rule already exists")
		}
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	g.Ingress = append(g.Ingress, added...)
	s.options.Changed()
	return &ec2.AuthorizeSecurityGroupIngressOutput{Return: aws.Bool(true), SecurityGroupRules: s.rulesOf(g.ID, added)}, nil
}

// ownGroup finds a group whose rules can be changed; it needs the mutex.
func (s *Service) ownGroup(id, name string) (*securityGroup, error) {
	one, err := s.findGroup(id, name)
	if err != nil {
		return nil, err
	}
	for _, g := range s.state.Groups {
		if g.ID == *one.GroupId {
			return g, nil
		}
	}
	return nil, wire.Errorf("UnsupportedOperation", "The local cloud's default group stays as it is.")
}

func (s *Service) rulesOf(group string, permissions []types.IpPermission) []types.SecurityGroupRule {
	var rules []types.SecurityGroupRule
	for _, one := range permissions {
		for _, r := range one.IpRanges {
			rules = append(rules, types.SecurityGroupRule{
				SecurityGroupRuleId: aws.String(newID("sgr")), GroupId: aws.String(group), GroupOwnerId: aws.String(s.options.Account),
				IsEgress: aws.Bool(false), IpProtocol: one.IpProtocol, FromPort: one.FromPort, ToPort: one.ToPort,
				CidrIpv4: r.CidrIp, Description: r.Description,
			})
		}
	}
	return rules
}

func (s *Service) describeSecurityGroups(_ context.Context, in *ec2.DescribeSecurityGroupsInput) (*ec2.DescribeSecurityGroupsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range in.GroupIds {
		if _, err := s.findGroup(id, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range in.GroupNames {
		if _, err := s.findGroup("", name); err != nil {
			return nil, err
		}
	}
	all := slices.DeleteFunc(s.allGroups(), func(one types.SecurityGroup) bool {
		return len(in.GroupIds)+len(in.GroupNames) > 0 && !slices.Contains(in.GroupIds, *one.GroupId) && !slices.Contains(in.GroupNames, *one.GroupName)
	})
	kept, err := selected(all, in.Filters, func(one types.SecurityGroup) attributes {
		return attributes{
			"group-id": {*one.GroupId}, "group-name": {*one.GroupName}, "vpc-id": {*one.VpcId}, "owner-id": {*one.OwnerId}, "description": {*one.Description},
		}.withTags(s.state.Tags[*one.GroupId])
	})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSecurityGroupsOutput{}
	out.SecurityGroups, out.NextToken, err = page(kept, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}
