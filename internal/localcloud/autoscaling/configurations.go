package autoscaling

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// Launch configurations: what groups launched from before there were launch
// templates. They are named, have no versions and never change.

const maxUserData = 16 << 10 // before base64

func (s *Service) createConfiguration(_ context.Context, in *autoscaling.CreateLaunchConfigurationInput) (*autoscaling.CreateLaunchConfigurationOutput, error) {
	if err := checkConfiguration(in); err != nil {
		return nil, err
	}
	name := *in.LaunchConfigurationName
	made := &types.LaunchConfiguration{
		LaunchConfigurationARN:       aws.String(s.arn("launchConfiguration:" + uuid() + ":launchConfigurationName/" + name)),
		LaunchConfigurationName:      aws.String(name),
		CreatedTime:                  aws.Time(time.Now()),
		AssociatePublicIpAddress:     in.AssociatePublicIpAddress,
		BlockDeviceMappings:          in.BlockDeviceMappings,
		ClassicLinkVPCId:             in.ClassicLinkVPCId,
		ClassicLinkVPCSecurityGroups: in.ClassicLinkVPCSecurityGroups,
		EbsOptimized:                 aws.Bool(aws.ToBool(in.EbsOptimized)),
		IamInstanceProfile:           in.IamInstanceProfile,
		ImageId:                      in.ImageId,
		InstanceMonitoring:           cmp.Or(in.InstanceMonitoring, &types.InstanceMonitoring{Enabled: aws.Bool(true)}),
		InstanceType:                 in.InstanceType,
		KernelId:                     cmp.Or(in.KernelId, aws.String("")),
		KeyName:                      cmp.Or(in.KeyName, aws.String("")),
		MetadataOptions:              in.MetadataOptions,
		PlacementTenancy:             in.PlacementTenancy,
		RamdiskId:                    cmp.Or(in.RamdiskId, aws.String("")),
		SecurityGroups:               in.SecurityGroups,
		SpotPrice:                    in.SpotPrice,
		UserData:                     cmp.Or(in.UserData, aws.String("")),
	}
	err := s.change(func() error {
		at, taken := s.findConfiguration(name)
		if taken {
			return wire.Errorf("AlreadyExists", "Launch Configuration by this name already exists - A launch configuration already exists with the name %s", name)
		}
		s.configurations = slices.Insert(s.configurations, at, made)
		return nil
	})
	return &autoscaling.CreateLaunchConfigurationOutput{}, err
}

func checkConfiguration(in *autoscaling.CreateLaunchConfigurationInput) error {
	name, image, kind := aws.ToString(in.LaunchConfigurationName), aws.ToString(in.ImageId), aws.ToString(in.InstanceType)
	switch {
	case name == "" || len(name) > maxName:
		return invalid("1 validation error detected: Value '%s' at 'launchConfigurationName' failed to satisfy constraint: Member must have length between 1 and 255", name)
	case in.InstanceId != nil:
		return invalid("This local cloud makes no launch configuration from an instance.")
	case image == "" || kind == "":
		return invalid("Valid requests must contain either the InstanceID parameter or both the ImageId and InstanceType parameters.")
	case !strings.HasPrefix(image, "ami-"):
		return invalid("AMI %s is invalid: Invalid id: \"%s\" (expecting \"ami-...\")", image, image)
	}
	data, err := base64.StdEncoding.DecodeString(aws.ToString(in.UserData))
	switch {
	case err != nil:
		return invalid("Invalid BASE64 encoding of user data.")
	case len(data) > maxUserData:
		return invalid("User data is limited to %d bytes.", maxUserData)
	}
	return nil
}

func (s *Service) describeConfigurations(_ context.Context, in *autoscaling.DescribeLaunchConfigurationsInput) (*autoscaling.DescribeLaunchConfigurationsOutput, error) {
	names := in.LaunchConfigurationNames
	if len(names) > 50 {
		return nil, invalid("The number of launch configuration names that may be passed in is limited to 50")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []types.LaunchConfiguration
	for _, c := range s.configurations {
		if len(names) == 0 || slices.Contains(names, *c.LaunchConfigurationName) {
			found = append(found, *c)
		}
	}
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 50, Max: 100})
	if err != nil {
		return nil, err
	}
	return &autoscaling.DescribeLaunchConfigurationsOutput{LaunchConfigurations: part, NextToken: next}, nil
}

func (s *Service) deleteConfiguration(_ context.Context, in *autoscaling.DeleteLaunchConfigurationInput) (*autoscaling.DeleteLaunchConfigurationOutput, error) {
	name := aws.ToString(in.LaunchConfigurationName)
	err := s.change(func() error {
		at, ok := s.findConfiguration(name)
		if !ok {
			return noConfiguration(name)
		}
		for _, g := range s.groups {
			if g.source().Configuration == name {
				return wire.Errorf("ResourceInUse", "Cannot delete launch configuration %s because it is attached to AutoScalingGroup %s", name, g.name())
			}
		}
		s.configurations = slices.Delete(s.configurations, at, at+1)
		return nil
	})
	return &autoscaling.DeleteLaunchConfigurationOutput{}, err
}

// findConfiguration is the place of a launch configuration among the others;
// the caller holds the lock.
func (s *Service) findConfiguration(name string) (int, bool) {
	return slices.BinarySearchFunc(s.configurations, name, func(c *types.LaunchConfiguration, name string) int {
		return strings.Compare(*c.LaunchConfigurationName, name)
	})
}

// configuration finds a launch configuration; the caller holds the lock.
func (s *Service) configuration(name string) (*types.LaunchConfiguration, error) {
	at, ok := s.findConfiguration(name)
	if !ok {
		return nil, noConfiguration(name)
	}
	return s.configurations[at], nil
}

func noConfiguration(name string) error {
	return invalid("Launch configuration name not found - Launch configuration %s not found", name)
}

func (s *Service) resolveConfiguration(name string) (choices, error) {
	c, err := s.configuration(name)
	if err != nil {
		return choices{}, err
	}
	return choices{All: []choice{{Configuration: name, Made: *c.CreatedTime, InstanceType: *c.InstanceType}}}, nil
}
