package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// modifyInstanceAttribute changes one attribute at a time, as EC2 wants it.
func (s *Service) modifyInstanceAttribute(_ context.Context, in *ec2.ModifyInstanceAttributeInput) (*ec2.ModifyInstanceAttributeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.instance(aws.ToString(in.InstanceId))
	if err != nil {
		return nil, err
	}
	change, stopped, err := s.attributeChange(i, in)
	if err != nil {
		return nil, err
	}
	if stopped && i.State != types.InstanceStateNameStopped {
		return nil, wire.Errorf("IncorrectInstanceState", "The instance '%s' is not in the 'stopped' state.", i.ID)
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	change()
	s.options.Changed()
	return &ec2.ModifyInstanceAttributeOutput{}, nil
}

// attributeChange is what a call changes, and whether the instance must be
// stopped for it. It needs the mutex.
func (s *Service) attributeChange(i *instance, in *ec2.ModifyInstanceAttributeInput) (change func(), stopped bool, err error) {
	switch {
	case in.DisableApiTermination != nil:
		return func() { i.Data.DisableApiTermination = in.DisableApiTermination.Value }, false, nil
	case in.DisableApiStop != nil:
		return func() { i.Data.DisableApiStop = in.DisableApiStop.Value }, false, nil
	case in.InstanceInitiatedShutdownBehavior != nil:
		behaviour := types.ShutdownBehavior(aws.ToString(in.InstanceInitiatedShutdownBehavior.Value))
		return func() { i.Data.InstanceInitiatedShutdownBehavior = behaviour }, false, nil
	case in.EnaSupport != nil:
		return func() { i.Ena = aws.ToBool(in.EnaSupport.Value) }, true, nil
	case in.SriovNetSupport != nil:
		return func() { i.Sriov = aws.ToString(in.SriovNetSupport.Value) }, true, nil
	case in.InstanceType != nil:
		return func() { i.Data.InstanceType = types.InstanceType(aws.ToString(in.InstanceType.Value)) }, true, nil
	case in.UserData != nil:
		if len(in.UserData.Value) > maxUserData {
			return nil, false, wire.Errorf("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
		}
		return func() { i.UserData = in.UserData.Value }, true, nil
	case len(in.Groups) > 0:
		data := types.ResponseLaunchTemplateData{SecurityGroupIds: in.Groups}
		_, err := s.groupsOf(&data)
		return func() { i.Data.SecurityGroupIds, i.Data.SecurityGroups, i.Data.NetworkInterfaces = in.Groups, nil, nil }, false, err
	case len(in.BlockDeviceMappings) > 0:
		return s.mappingChange(i, in.BlockDeviceMappings)
	}
	return nil, false, wire.Errorf("UnsupportedOperation", "The local cloud does not change this attribute of instances.")
}

// mappingChange says of volumes whether they go with their instance.
func (s *Service) mappingChange(i *instance, mappings []types.InstanceBlockDeviceMappingSpecification) (change func(), stopped bool, err error) {
	wanted := map[*volume]bool{}
	for _, mapping := range mappings {
		var found *volume
		for _, v := range s.volumesOf(i.ID) {
			if v.Device == aws.ToString(mapping.DeviceName) {
				found = v
			}
		}
		if found == nil || mapping.Ebs == nil {
			return nil, false, wire.Errorf("InvalidInstanceAttributeValue", "No device is currently mapped at %s", aws.ToString(mapping.DeviceName))
		}
		wanted[found] = aws.ToBool(mapping.Ebs.DeleteOnTermination)
	}
	return func() {
		for v, temporary := range wanted {
			v.Temporary = temporary
		}
	}, false, nil
}
