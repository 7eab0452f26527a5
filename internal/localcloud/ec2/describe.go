package ec2

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

func stateCode(name types.InstanceStateName) int32 {
	switch name {
	case types.InstanceStateNamePending:
		return 0
	case types.InstanceStateNameRunning:
		return 16
	case types.InstanceStateNameShuttingDown:
		return 32
	case types.InstanceStateNameTerminated:
		return 48
	case types.InstanceStateNameStopping:
		return 64
	}
	return 80 // stopped
}

func describeState(name types.InstanceStateName) *types.InstanceState {
	return &types.InstanceState{Name: name, Code: aws.Int32(stateCode(name))}
}

// describe needs the mutex.
func (s *Service) describe(i *instance) types.Instance {
	described := types.Instance{
		InstanceId: aws.String(i.ID), ImageId: i.Data.ImageId, InstanceType: i.Data.InstanceType,
		State: describeState(i.State), StateTransitionReason: aws.String(""),
		LaunchTime: aws.Time(i.Launched), AmiLaunchIndex: aws.Int32(i.Index), ClientToken: optional(i.ClientToken),
		KeyName: i.Data.KeyName, Tags: s.tagsOf(i.ID),
		Placement:    &types.Placement{AvailabilityZone: aws.String(i.Zone), Tenancy: types.TenancyDefault},
		Architecture: types.ArchitectureValuesX8664, Hypervisor: types.HypervisorTypeXen,
		VirtualizationType: types.VirtualizationTypeHvm,
		RootDeviceType:     types.DeviceTypeEbs, RootDeviceName: aws.String(defaultRoot),
		EbsOptimized:   aws.Bool(aws.ToBool(i.Data.EbsOptimized)),
		Monitoring:     &types.Monitoring{State: types.MonitoringStateDisabled},
		PrivateDnsName: aws.String(""), PublicDnsName: aws.String(""),
		EnaSupport: aws.Bool(i.Ena), SriovNetSupport: optional(i.Sriov),
	}
	if profile := i.Data.IamInstanceProfile; profile != nil && aws.ToString(profile.Name)+aws.ToString(profile.Arn) != "" {
		arn := aws.ToString(profile.Arn)
		if arn == "" {
			arn = "arn:aws:iam::" + s.options.Account + ":instance-profile/" + aws.ToString(profile.Name)
		}
		described.IamInstanceProfile = &types.IamInstanceProfile{Arn: &arn}
	}
	if i.ReasonCode != "" {
		described.StateReason = &types.StateReason{Code: aws.String(i.ReasonCode), Message: aws.String(i.Reason)}
		described.StateTransitionReason = aws.String(i.Reason)
	}
	if i.State == types.InstanceStateNameTerminated {
		return described // without address, as EC2 has it
	}
	described.PrivateIpAddress = aws.String(i.Address)
	described.PrivateDnsName = aws.String(hostName(i.Address, s.options.Region))
	described.SubnetId, described.VpcId = aws.String(i.Subnet), aws.String(vpcID)
	described.PublicIpAddress = described.PrivateIpAddress
	described.SecurityGroups, _ = s.groupsOf(&i.Data) // one that was deleted is left out with all
	for _, v := range s.volumesOf(i.ID) {
		if v.Root {
			described.RootDeviceName = aws.String(v.Device)
		}
		described.BlockDeviceMappings = append(described.BlockDeviceMappings, types.InstanceBlockDeviceMapping{
			DeviceName: aws.String(v.Device), Ebs: &types.EbsInstanceBlockDevice{
				VolumeId: aws.String(v.ID), AttachTime: aws.Time(v.Attached), DeleteOnTermination: aws.Bool(v.Temporary), Status: types.AttachmentStatusAttached,
			},
		})
	}
	return described
}

func hostName(address, region string) string {
	return "ip-" + strings.ReplaceAll(address, ".", "-") + "." + region + ".compute.internal"
}

// asked are the instances of the given identifiers, or all; it needs the mutex.
func (s *Service) asked(ids []string) ([]*instance, error) {
	s.prune()
	var found []*instance
	for _, id := range ids {
		i, err := s.instance(id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(found, i) {
			found = append(found, i)
		}
	}
	if len(ids) > 0 {
		return found, nil
	}
	for _, i := range s.state.Instances {
		if s.visible(i.Launched) {
			found = append(found, i)
		}
	}
	return found, nil
}

func (s *Service) instanceAttributes(i *instance) attributes {
	a := attributes{
		"instance-id":         {i.ID},
		"instance-state-name": {string(i.State)},
		"instance-state-code": {strconv.Itoa(int(stateCode(i.State)))},
		"instance-type":       {string(i.Data.InstanceType)},
		"image-id":            {aws.ToString(i.Data.ImageId)},
		"availability-zone":   {i.Zone},
		"subnet-id":           {i.Subnet},
		"vpc-id":              {vpcID},
		"private-ip-address":  {i.Address},
		"reservation-id":      {i.Reservation},
		"client-token":        {i.ClientToken},
		"key-name":            {aws.ToString(i.Data.KeyName)},
		"launch-time":         {i.Launched.Format(timeLayout)},
		"owner-id":            {s.options.Account},
		"instance.group-id":   nil,
		"instance.group-name": nil,
		"private-dns-name":    {hostName(i.Address, s.options.Region)},
		"ip-address":          {i.Address},

		"block-device-mapping.volume-id": nil, "block-device-mapping.device-name": nil,
	}
	groups, _ := s.groupsOf(&i.Data)
	for _, g := range groups {
		a["instance.group-id"] = append(a["instance.group-id"], *g.GroupId)
		a["instance.group-name"] = append(a["instance.group-name"], *g.GroupName)
	}
	for _, v := range s.volumesOf(i.ID) {
		a["block-device-mapping.volume-id"] = append(a["block-device-mapping.volume-id"], v.ID)
		a["block-device-mapping.device-name"] = append(a["block-device-mapping.device-name"], v.Device)
	}
	return a.withTags(s.state.Tags[i.ID])
}

func (s *Service) describeInstances(_ context.Context, in *ec2.DescribeInstancesInput) (*ec2.DescribeInstancesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	if len(in.InstanceIds) > 0 && in.MaxResults != nil {
		return nil, wire.Errorf("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.asked(in.InstanceIds)
	if err != nil {
		return nil, err
	}
	if found, err = selected(found, in.Filters, s.instanceAttributes); err != nil {
		return nil, err
	}
	found, next, err := page(found, in.MaxResults, in.NextToken, limits{5, 1000})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeInstancesOutput{NextToken: next}
	for _, i := range found {
		last := len(out.Reservations) - 1
		if last < 0 || *out.Reservations[last].ReservationId != i.Reservation {
			out.Reservations = append(out.Reservations, types.Reservation{
				ReservationId: aws.String(i.Reservation), OwnerId: aws.String(s.options.Account),
			})
			last++
		}
		out.Reservations[last].Instances = append(out.Reservations[last].Instances, s.describe(i))
	}
	return out, nil
}

// describeInstanceStatus leaves out what does not run unless asked for it.
func (s *Service) describeInstanceStatus(_ context.Context, in *ec2.DescribeInstanceStatusInput) (*ec2.DescribeInstanceStatusOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.asked(in.InstanceIds)
	if err != nil {
		return nil, err
	}
	if !aws.ToBool(in.IncludeAllInstances) {
		found = slices.DeleteFunc(found, func(i *instance) bool { return i.State != types.InstanceStateNameRunning })
	}
	if found, err = selected(found, in.Filters, s.instanceAttributes); err != nil {
		return nil, err
	}
	found, next, err := page(found, in.MaxResults, in.NextToken, limits{5, 1000})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeInstanceStatusOutput{NextToken: next}
	for _, i := range found {
		status := types.SummaryStatusNotApplicable
		if i.State == types.InstanceStateNameRunning {
			status = types.SummaryStatusOk
		}
		out.InstanceStatuses = append(out.InstanceStatuses, types.InstanceStatus{
			InstanceId: aws.String(i.ID), AvailabilityZone: aws.String(i.Zone), InstanceState: describeState(i.State),
			InstanceStatus: &types.InstanceStatusSummary{Status: status}, SystemStatus: &types.InstanceStatusSummary{Status: status},
		})
	}
	return out, nil
}

func (s *Service) getConsoleOutput(_ context.Context, in *ec2.GetConsoleOutputInput) (*ec2.GetConsoleOutputOutput, error) {
	s.mu.Lock()
	i, err := s.instance(aws.ToString(in.InstanceId))
	if err == nil {
		err = refuseDryRun(in.DryRun)
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	console, at := i.Console, i.Ended
	if m := s.machines[i.ID]; m != nil && m.process != nil {
		console, at = tail(m.process.Console()), time.Now().UTC()
	}
	s.mu.Unlock()
	out := &ec2.GetConsoleOutputOutput{InstanceId: in.InstanceId, Timestamp: &at}
	if at.IsZero() {
		out.Timestamp = &i.Launched
	}
	if len(console) > 0 {
		out.Output = aws.String(base64.StdEncoding.EncodeToString(console))
	}
	return out, nil
}
