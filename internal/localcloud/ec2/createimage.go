package ec2

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// createImage makes an image of an instance's volumes. One that runs is
// rebooted for it, unless that is not wanted.
func (s *Service) createImage(ctx context.Context, in *ec2.CreateImageInput) (*ec2.CreateImageOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeImage)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	i, err := s.checkCreate(in)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	var still *pause
	if i.State == types.InstanceStateNameRunning && !aws.ToBool(in.NoReboot) {
		still = &pause{begins: make(chan struct{})}
	}
	mappings := s.shootAll(ctx, i, in, still)
	data := types.Image{
		Name: in.Name, Description: in.Description, SourceInstanceId: aws.String(i.ID), BlockDeviceMappings: mappings,
		Architecture: types.ArchitectureValuesX8664, VirtualizationType: types.VirtualizationTypeHvm, EnaSupport: aws.Bool(true),
		RootDeviceName: aws.String(defaultRoot),
	}
	if from, err := s.image(*i.Data.ImageId); err == nil {
		data.Architecture = cmp.Or(from.Data.Architecture, data.Architecture)
		data.BootMode, data.ImdsSupport = from.Data.BootMode, from.Data.ImdsSupport
		data.RootDeviceName = aws.String(cmp.Or(aws.ToString(from.Data.RootDeviceName), defaultRoot))
	}
	one := s.addImage(s.options.Region, data, tags)
	if still != nil {
		m := s.machines[i.ID]
		m.halting = true
		go s.holdStill(context.WithoutCancel(ctx), m, i.ID, still)
	}
	s.mu.Unlock()
	s.options.Changed()
	return &ec2.CreateImageOutput{ImageId: one.Data.ImageId}, nil
}

// holdStill stops an instance until its volumes have been read. The machine
// must be marked as halting.
func (s *Service) holdStill(ctx context.Context, m *machine, id string, still *pause) {
	_ = s.stop(ctx, m, id) // what remains is read too, and found by the next start
	close(still.begins)
	still.readers.Wait()
	s.bootAgain(ctx, m, id)
}

// checkCreate needs the mutex.
func (s *Service) checkCreate(in *ec2.CreateImageInput) (*instance, error) {
	if _, err := specifiedTags(in.TagSpecifications, types.ResourceTypeSnapshot); err != nil {
		return nil, err
	}
	i, err := s.instance(aws.ToString(in.InstanceId))
	if err != nil {
		return nil, err
	}
	if err := s.checkName(s.options.Region, aws.ToString(in.Name)); err != nil {
		return nil, err
	}
	m := s.machines[i.ID]
	running := i.State == types.InstanceStateNameRunning && m != nil && !m.halting
	if !running && i.State != types.InstanceStateNameStopped {
		return nil, wire.Errorf("InvalidParameterValue", "Instance is not in state 'running' or 'stopped': %s", i.ID)
	}
	return i, refuseDryRun(in.DryRun)
}

// shootAll starts a snapshot of each volume that an image shall have, and
// returns its mappings. It needs the mutex.
func (s *Service) shootAll(ctx context.Context, i *instance, in *ec2.CreateImageInput, still *pause) []types.BlockDeviceMapping {
	tags, _ := specifiedTags(in.TagSpecifications, types.ResourceTypeSnapshot) // checked before
	var mappings []types.BlockDeviceMapping
	asked := slices.Clone(in.BlockDeviceMappings)
	description := "Created by CreateImage(" + i.ID + ")"
	for _, v := range s.volumesOf(i.ID) {
		mapping := types.BlockDeviceMapping{DeviceName: aws.String(v.Device), Ebs: &types.EbsBlockDevice{
			VolumeSize: aws.Int32(v.Size), VolumeType: v.Kind, DeleteOnTermination: aws.Bool(v.Temporary), Encrypted: aws.Bool(v.Encrypted),
		}}
		n := slices.IndexFunc(asked, func(m types.BlockDeviceMapping) bool { return aws.ToString(m.DeviceName) == v.Device })
		if n >= 0 {
			other := asked[n]
			asked = slices.Delete(asked, n, n+1)
			if other.NoDevice != nil {
				continue
			}
			if other.Ebs != nil {
				overwriteWith(mapping.Ebs, *other.Ebs)
			}
		}
		mapping.Ebs.SnapshotId = aws.String(s.shoot(ctx, v, shot{description, tags, still}).ID)
		mappings = append(mappings, mapping)
	}
	return append(mappings, asked...) // what the instance does not have comes empty, or from its own snapshot
}

// copyImage is called where the copy shall be.
func (s *Service) copyImage(ctx context.Context, in *ec2.CopyImageInput) (*ec2.CopyImageOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeImage)
	if err != nil {
		return nil, err
	}
	snapshotTags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.remembered("CopyImage", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	if made != nil {
		return &ec2.CopyImageOutput{ImageId: &made[0]}, nil
	}
	region := s.regionOf(ctx)
	source, err := s.copyable(region, in)
	if err != nil {
		return nil, err
	}
	data := *copied(&source.Data)
	data.Name, data.Description = in.Name, in.Description
	data.SourceImageId, data.SourceImageRegion = source.Data.ImageId, aws.String(s.regionOfImage(source))
	for _, mapping := range data.BlockDeviceMappings {
		if mapping.Ebs == nil || mapping.Ebs.SnapshotId == nil {
			continue
		}
		from, err := s.completed(s.regionOfImage(source), *mapping.Ebs.SnapshotId)
		if err != nil {
			return nil, err
		}
		one, err := s.copyOf(from, region, encryption{aws.ToBool(in.Encrypted), aws.ToString(in.KmsKeyId)})
		if err != nil {
			return nil, err
		}
		s.addTags(one.ID, snapshotTags)
		mapping.Ebs.SnapshotId, mapping.Ebs.Encrypted = &one.ID, aws.Bool(one.Encrypted)
	}
	one := s.addImage(region, data, tags)
	if aws.ToBool(in.CopyImageTags) {
		s.addTags(*one.Data.ImageId, s.state.Tags[*source.Data.ImageId])
	}
	s.remember("CopyImage", in.ClientToken, in, *one.Data.ImageId)
	s.options.Changed()
	return &ec2.CopyImageOutput{ImageId: one.Data.ImageId}, nil
}

// copyable needs the mutex.
func (s *Service) copyable(region string, in *ec2.CopyImageInput) (*image, error) {
	source, err := s.imageIn(aws.ToString(in.SourceRegion), aws.ToString(in.SourceImageId))
	if err != nil {
		return nil, err
	}
	if err := s.checkName(region, aws.ToString(in.Name)); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(snapshotsOf(source), isSeeded) {
		return nil, wire.Errorf("InvalidRequest", "You do not have permission to access the storage of this ami")
	}
	if state, _ := s.stateOf(source); state != types.ImageStateAvailable {
		return nil, wire.Errorf("InvalidAMIID.Unavailable", "The image ID '%s' is not available: it is %s", *source.Data.ImageId, state)
	}
	return source, refuseDryRun(in.DryRun)
}

func (s *Service) modifyImageAttribute(ctx context.Context, in *ec2.ModifyImageAttributeInput) (*ec2.ModifyImageAttributeOutput, error) {
	change := permissionChange[types.LaunchPermission]{operation: in.OperationType}
	if p := in.LaunchPermission; p != nil {
		change.add, change.remove = p.Add, p.Remove
	}
	for _, id := range in.UserIds {
		change.named = append(change.named, types.LaunchPermission{UserId: aws.String(id)})
	}
	for _, group := range in.UserGroups {
		change.named = append(change.named, types.LaunchPermission{Group: types.PermissionGroup(group)})
	}
	for _, arn := range in.OrganizationArns {
		change.named = append(change.named, types.LaunchPermission{OrganizationArn: aws.String(arn)})
	}
	for _, arn := range in.OrganizationalUnitArns {
		change.named = append(change.named, types.LaunchPermission{OrganizationalUnitArn: aws.String(arn)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.ownImage(s.regionOf(ctx), in.ImageId, in.DryRun)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Description != nil:
		one.Data.Description = in.Description.Value
	case in.ImdsSupport != nil:
		one.Data.ImdsSupport = types.ImdsSupportValues(aws.ToString(in.ImdsSupport.Value))
	case len(in.ProductCodes) > 0:
		return nil, wire.Errorf("UnsupportedOperation", "The local cloud knows no product codes.")
	default:
		one.Shared = change.apply(one.Shared)
	}
	s.options.Changed()
	return &ec2.ModifyImageAttributeOutput{}, nil
}

func (s *Service) describeImageAttribute(ctx context.Context, in *ec2.DescribeImageAttributeInput) (*ec2.DescribeImageAttributeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.ownImage(s.regionOf(ctx), in.ImageId, in.DryRun)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeImageAttributeOutput{ImageId: in.ImageId}
	switch in.Attribute {
	case types.ImageAttributeNameDescription:
		out.Description = &types.AttributeValue{Value: one.Data.Description}
	case types.ImageAttributeNameLaunchPermission:
		out.LaunchPermissions = slices.Clone(one.Shared)
	case types.ImageAttributeNameBlockDeviceMapping:
		out.BlockDeviceMappings = copied(&one.Data).BlockDeviceMappings
	case types.ImageAttributeNameImdsSupport:
		out.ImdsSupport = &types.AttributeValue{Value: optional(string(one.Data.ImdsSupport))}
	case types.ImageAttributeNameDeregistrationProtection:
		out.DeregistrationProtection = &types.AttributeValue{Value: aws.String(one.protection())}
	default:
		return nil, wire.Errorf("UnsupportedOperation", "The local cloud does not tell the attribute '%s' of images.", in.Attribute)
	}
	return out, nil
}

// enableImageDeprecation rounds to the minute, as EC2 does.
func (s *Service) enableImageDeprecation(ctx context.Context, in *ec2.EnableImageDeprecationInput) (*ec2.EnableImageDeprecationOutput, error) {
	at := aws.ToTime(in.DeprecateAt).UTC().Round(time.Minute)
	if now := time.Now(); at.Before(now.Truncate(time.Minute)) || at.After(now.AddDate(10, 0, 0)) {
		return nil, wire.Errorf("InvalidParameterValue", "The deprecation date %s must lie between now and ten years from now.", at.Format(timeLayout))
	}
	return &ec2.EnableImageDeprecationOutput{Return: aws.Bool(true)}, s.changeImage(ctx, in.ImageId, in.DryRun, func(one *image) { one.Deprecated = at })
}

func (s *Service) disableImageDeprecation(ctx context.Context, in *ec2.DisableImageDeprecationInput) (*ec2.DisableImageDeprecationOutput, error) {
	err := s.changeImage(ctx, in.ImageId, in.DryRun, func(one *image) { one.Deprecated = time.Time{} })
	return &ec2.DisableImageDeprecationOutput{Return: aws.Bool(true)}, err
}

func (s *Service) enableDeregistrationProtection(ctx context.Context, in *ec2.EnableImageDeregistrationProtectionInput) (*ec2.EnableImageDeregistrationProtectionOutput, error) {
	err := s.changeImage(ctx, in.ImageId, in.DryRun, func(one *image) { one.Protected, one.Cooldown = true, aws.ToBool(in.WithCooldown) })
	return &ec2.EnableImageDeregistrationProtectionOutput{Return: aws.String("true")}, err
}

func (s *Service) disableDeregistrationProtection(ctx context.Context, in *ec2.DisableImageDeregistrationProtectionInput) (*ec2.DisableImageDeregistrationProtectionOutput, error) {
	err := s.changeImage(ctx, in.ImageId, in.DryRun, func(one *image) { one.Protected, one.Cooldown = false, false })
	return &ec2.DisableImageDeregistrationProtectionOutput{Return: aws.String("true")}, err
}

func (s *Service) changeImage(ctx context.Context, id *string, dryRun *bool, change func(*image)) error {
	s.mu.Lock()
	one, err := s.ownImage(s.regionOf(ctx), id, dryRun)
	if err == nil {
		change(one)
	}
	s.mu.Unlock()
	if err == nil {
		s.options.Changed()
	}
	return err
}
