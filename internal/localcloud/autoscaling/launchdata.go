package autoscaling

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// launchData is a launch configuration in the words of EC2.
func launchData(c *types.LaunchConfiguration) *ec2types.ResponseLaunchTemplateData {
	data := &ec2types.ResponseLaunchTemplateData{
		EbsOptimized: c.EbsOptimized,
		ImageId:      c.ImageId,
		InstanceType: ec2types.InstanceType(*c.InstanceType),
		KernelId:     given(c.KernelId),
		KeyName:      given(c.KeyName),
		Monitoring:   &ec2types.LaunchTemplatesMonitoring{Enabled: c.InstanceMonitoring.Enabled},
		RamDiskId:    given(c.RamdiskId),
		UserData:     given(c.UserData),
	}
	for _, d := range c.BlockDeviceMappings {
		data.BlockDeviceMappings = append(data.BlockDeviceMappings, launchDevice(d))
	}
	switch profile := aws.ToString(c.IamInstanceProfile); {
	case strings.HasPrefix(profile, "arn:"):
		data.IamInstanceProfile = &ec2types.LaunchTemplateIamInstanceProfileSpecification{Arn: &profile}
	case profile != "":
		data.IamInstanceProfile = &ec2types.LaunchTemplateIamInstanceProfileSpecification{Name: &profile}
	}
	if m := c.MetadataOptions; m != nil {
		data.MetadataOptions = &ec2types.LaunchTemplateInstanceMetadataOptions{
			HttpEndpoint:            ec2types.LaunchTemplateInstanceMetadataEndpointState(m.HttpEndpoint),
			HttpPutResponseHopLimit: m.HttpPutResponseHopLimit,
			HttpTokens:              ec2types.LaunchTemplateHttpTokensState(m.HttpTokens),
		}
	}
	if c.PlacementTenancy != nil {
		data.Placement = &ec2types.LaunchTemplatePlacement{Tenancy: ec2types.Tenancy(*c.PlacementTenancy)}
	}
	if c.SpotPrice != nil {
		data.InstanceMarketOptions = &ec2types.LaunchTemplateInstanceMarketOptions{
			MarketType: ec2types.MarketTypeSpot, SpotOptions: &ec2types.LaunchTemplateSpotMarketOptions{MaxPrice: c.SpotPrice},
		}
	}
	launchNetwork(c, data)
	return data
}

// launchNetwork puts security groups where EC2 wants them: beside a network
// interface there may be none for the instance.
func launchNetwork(c *types.LaunchConfiguration, data *ec2types.ResponseLaunchTemplateData) {
	if c.AssociatePublicIpAddress != nil {
		data.NetworkInterfaces = []ec2types.LaunchTemplateInstanceNetworkInterfaceSpecification{{
			AssociatePublicIpAddress: c.AssociatePublicIpAddress, DeviceIndex: aws.Int32(0), Groups: c.SecurityGroups,
		}}
		return
	}
	for _, group := range c.SecurityGroups {
		if strings.HasPrefix(group, "sg-") {
			data.SecurityGroupIds = append(data.SecurityGroupIds, group)
		} else {
			data.SecurityGroups = append(data.SecurityGroups, group)
		}
	}
}

func launchDevice(d types.BlockDeviceMapping) ec2types.LaunchTemplateBlockDeviceMapping {
	out := ec2types.LaunchTemplateBlockDeviceMapping{DeviceName: d.DeviceName, VirtualName: d.VirtualName}
	if aws.ToBool(d.NoDevice) {
		out.NoDevice = aws.String("")
	}
	if e := d.Ebs; e != nil {
		out.Ebs = &ec2types.LaunchTemplateEbsBlockDevice{
			DeleteOnTermination: e.DeleteOnTermination, Encrypted: e.Encrypted, Iops: e.Iops, SnapshotId: e.SnapshotId,
			Throughput: e.Throughput, VolumeSize: e.VolumeSize, VolumeType: ec2types.VolumeType(aws.ToString(e.VolumeType)),
		}
	}
	return out
}

// given is nil for the empty text by which a description says "none".
func given(text *string) *string {
	if aws.ToString(text) == "" {
		return nil
	}
	return text
}
