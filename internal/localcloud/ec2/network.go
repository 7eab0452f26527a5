package ec2

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// The network is fixed: one default VPC with a subnet in each of three zones.
const (
	vpcID   = "vpc-00000000000000001"
	groupID = "sg-00000000000000001"
	zones   = "abc"
)

// zoneName is the name of a zone by its letter.
func (s *Service) zoneName(letter rune) string { return s.options.Region + string(letter) }

func subnetID(letter rune) string { return "subnet-0000000000000000" + string(letter) }

// place completes zone and subnet from each other.
func (s *Service) place(zone, subnet string) (string, string, error) {
	for _, letter := range zones {
		name, id := s.zoneName(letter), subnetID(letter)
		switch {
		case subnet == "" && (zone == "" || zone == name):
			return name, id, nil
		case subnet == id && (zone == "" || zone == name):
			return name, id, nil
		case subnet == id:
			return "", "", wire.Errorf("InvalidParameterValue", "The subnet '%s' is not in the Availability Zone '%s'", subnet, zone)
		}
	}
	if subnet != "" {
		return "", "", wire.Errorf("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", subnet)
	}
	return "", "", wire.Errorf("InvalidParameterValue", "Invalid availability zone: [%s]", zone)
}

// SubnetZone names the zone that a subnet lies in, "" for an unknown one.
func (s *Service) SubnetZone(id string) string {
	for _, letter := range zones {
		if subnetID(letter) == id {
			return s.zoneName(letter)
		}
	}
	return ""
}

// checkNetwork finds one of the fixed resources.
func (s *Service) checkNetwork(id string) error {
	known := []string{vpcID}
	for _, letter := range zones {
		known = append(known, subnetID(letter))
	}
	if slices.Contains(known, id) {
		return nil
	}
	return wire.Errorf("InvalidID", "The ID '%s' is not valid", id)
}

func (s *Service) describeSubnets(_ context.Context, in *ec2.DescribeSubnetsInput) (*ec2.DescribeSubnetsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	for _, id := range in.SubnetIds {
		if _, _, err := s.place("", id); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []types.Subnet
	for n, letter := range zones {
		id := subnetID(letter)
		if len(in.SubnetIds) > 0 && !slices.Contains(in.SubnetIds, id) {
			continue
		}
		all = append(all, types.Subnet{
			SubnetId: aws.String(id), VpcId: aws.String(vpcID), OwnerId: aws.String(s.options.Account),
			AvailabilityZone: aws.String(s.zoneName(letter)), AvailabilityZoneId: aws.String(fmt.Sprintf("loc1-az%d", n+1)),
			CidrBlock: aws.String(fmt.Sprintf("172.31.%d.0/20", n*16)), AvailableIpAddressCount: aws.Int32(4091),
			DefaultForAz: aws.Bool(true), MapPublicIpOnLaunch: aws.Bool(true), State: types.SubnetStateAvailable,
			SubnetArn: aws.String(fmt.Sprintf("arn:aws:ec2:%s:%s:subnet/%s", s.options.Region, s.options.Account, id)),
			Tags:      s.tagsOf(id),
		})
	}
	kept, err := selected(all, in.Filters, func(one types.Subnet) attributes {
		return attributes{
			"subnet-id": {*one.SubnetId}, "vpc-id": {*one.VpcId}, "availability-zone": {*one.AvailabilityZone},
			"availabilityZone": {*one.AvailabilityZone}, "default-for-az": {"true"}, "state": {string(one.State)},
			"owner-id": {*one.OwnerId}, "cidr-block": {*one.CidrBlock}, "map-public-ip-on-launch": {"true"},
		}.withTags(s.state.Tags[*one.SubnetId])
	})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSubnetsOutput{}
	out.Subnets, out.NextToken, err = page(kept, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}

func (s *Service) describeVpcs(_ context.Context, in *ec2.DescribeVpcsInput) (*ec2.DescribeVpcsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	if n := slices.IndexFunc(in.VpcIds, func(id string) bool { return id != vpcID }); n >= 0 {
		return nil, wire.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", in.VpcIds[n])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []types.Vpc{{
		VpcId: aws.String(vpcID), CidrBlock: aws.String("172.31.0.0/16"), IsDefault: aws.Bool(true),
		State: types.VpcStateAvailable, OwnerId: aws.String(s.options.Account), InstanceTenancy: types.TenancyDefault,
		Tags: s.tagsOf(vpcID),
	}}
	kept, err := selected(all, in.Filters, func(one types.Vpc) attributes {
		return attributes{
			"vpc-id": {*one.VpcId}, "is-default": {"true"}, "isDefault": {"true"}, "state": {string(one.State)},
			"cidr": {*one.CidrBlock}, "owner-id": {*one.OwnerId},
		}.withTags(s.state.Tags[vpcID])
	})
	return &ec2.DescribeVpcsOutput{Vpcs: kept}, err
}

func (s *Service) describeAvailabilityZones(_ context.Context, in *ec2.DescribeAvailabilityZonesInput) (*ec2.DescribeAvailabilityZonesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []types.AvailabilityZone
	for n, letter := range zones {
		name := s.zoneName(letter)
		if len(in.ZoneNames) > 0 && !slices.Contains(in.ZoneNames, name) {
			continue
		}
		all = append(all, types.AvailabilityZone{
			ZoneName: &name, ZoneId: aws.String("loc1-az" + strconv.Itoa(n+1)), RegionName: aws.String(s.options.Region),
			State: types.AvailabilityZoneStateAvailable, ZoneType: aws.String("availability-zone"),
			OptInStatus: types.AvailabilityZoneOptInStatusOptInNotRequired, GroupName: aws.String(s.options.Region + "-zg-1"),
		})
	}
	kept, err := selected(all, in.Filters, func(one types.AvailabilityZone) attributes {
		return attributes{
			"zone-name": {*one.ZoneName}, "zone-id": {*one.ZoneId}, "region-name": {*one.RegionName}, "state": {string(one.State)},
			"zone-type": {*one.ZoneType}, "opt-in-status": {string(one.OptInStatus)}, "group-name": {*one.GroupName},
		}
	})
	return &ec2.DescribeAvailabilityZonesOutput{AvailabilityZones: kept}, err
}

// describeRegions tells the home region and those to which images and
// snapshots can be copied.
func (s *Service) describeRegions(_ context.Context, in *ec2.DescribeRegionsInput) (*ec2.DescribeRegionsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	names := []string{"eu-central-1", "eu-west-1", "us-east-1", "us-west-2", s.options.Region}
	slices.Sort(names)
	names = slices.Compact(names)
	if n := slices.IndexFunc(in.RegionNames, func(name string) bool { return !slices.Contains(names, name) }); n >= 0 {
		return nil, wire.Errorf("InvalidParameterValue", "Invalid region: [%s]", in.RegionNames[n])
	}
	out := &ec2.DescribeRegionsOutput{}
	for _, name := range names {
		if len(in.RegionNames) == 0 || slices.Contains(in.RegionNames, name) {
			out.Regions = append(out.Regions, types.Region{
				RegionName: aws.String(name), Endpoint: aws.String("ec2." + name + ".amazonaws.com"), OptInStatus: aws.String("opt-in-not-required"),
			})
		}
	}
	return out, nil
}
