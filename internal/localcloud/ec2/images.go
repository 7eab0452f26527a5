package ec2

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// DefaultImage is there from the start: Debian, as the host of the local cloud
// is meant to be. It has the identifier that AWS's own examples use.
const DefaultImage = "ami-0123456789abcdef0"

const (
	// debianOwner is the account that Debian publishes its images from.
	debianOwner = "136693071363"
	// seededSnapshot is Debian's own, under the default image: it holds
	// nothing, because the host has it all.
	seededSnapshot = "snap-0123456789abcdef0"
	seededSize     = 8
)

// isSeeded finds what belongs to somebody else: it can be launched, but not
// described or copied.
func isSeeded(snapshot string) bool { return snapshot == seededSnapshot }

type image struct {
	Created    time.Time
	Owner      string
	Region     string // "" for the home region
	Data       types.Image
	Deprecated time.Time // zero for never
	Protected  bool      // from deregistration
	Cooldown   bool
	Shared     []types.LaunchPermission
}

func seededImages() []*image {
	published := time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)
	return []*image{{Created: published, Owner: debianOwner, Data: types.Image{
		ImageId: aws.String(DefaultImage), Name: aws.String("debian-12-amd64-20260112-1"),
		Description: aws.String("Debian 12, as far as the host is"), Public: aws.Bool(true),
		Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String(defaultRoot),
		VirtualizationType: types.VirtualizationTypeHvm, EnaSupport: aws.Bool(true),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String(defaultRoot), Ebs: &types.EbsBlockDevice{
			SnapshotId: aws.String(seededSnapshot), VolumeSize: aws.Int32(seededSize), VolumeType: types.VolumeTypeGp3,
			DeleteOnTermination: aws.Bool(true), Encrypted: aws.Bool(false),
		}}},
	}}}
}

// image finds one in the home region; it needs the mutex.
func (s *Service) image(id string) (*image, error) { return s.imageIn(s.options.Region, id) }

// imageIn needs the mutex.
func (s *Service) imageIn(region, id string) (*image, error) {
	if !isID("ami", id) {
		return nil, wire.Errorf("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
	}
	for _, one := range s.state.Images {
		if *one.Data.ImageId == id && s.regionOfImage(one) == region && s.visible(one.Created) {
			return one, nil
		}
	}
	if _, gone := s.state.Deregistered[id]; gone {
		return nil, wire.Errorf("InvalidAMIID.Unavailable", "The image ID '%s' is no longer available", id)
	}
	return nil, wire.Errorf("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
}

func (s *Service) regionOfImage(one *image) string { return cmp.Or(one.Region, s.options.Region) }

// ownImage finds an image that the account may change; it needs the mutex.
func (s *Service) ownImage(region string, id *string, dryRun *bool) (*image, error) {
	one, err := s.imageIn(region, aws.ToString(id))
	if err != nil {
		return nil, err
	}
	if one.Owner != s.options.Account {
		return nil, &wire.Error{Code: "AuthFailure", Status: 403, Message: "Not authorized for image:" + *one.Data.ImageId}
	}
	return one, refuseDryRun(dryRun)
}

// resolveImage reads "resolve:ssm:NAME"; it needs the mutex.
func (s *Service) resolveImage(name string) (string, error) {
	parameter, ok := strings.CutPrefix(name, "resolve:ssm:")
	if !ok {
		return name, nil
	}
	if s.options.Parameters == nil {
		return "", wire.Errorf("InvalidParameterValue", "No parameter store resolves '%s'.", name)
	}
	value, err := s.options.Parameters.Value(parameter)
	if err != nil {
		return "", wire.Errorf("InvalidParameterValue", "The parameter of '%s' can not be resolved: %v", name, err)
	}
	return value, nil
}

// stateOf is the worst that an image's snapshots are in; it needs the mutex.
func (s *Service) stateOf(one *image) (types.ImageState, *types.StateReason) {
	state := types.ImageStateAvailable
	for _, id := range snapshotsOf(one) {
		found, err := s.snapshot(s.regionOfImage(one), id)
		switch {
		case isSeeded(id) || err != nil:
		case found.State == types.SnapshotStateError:
			return types.ImageStateFailed, &types.StateReason{Code: aws.String("Client.InternalError"), Message: aws.String(found.Message)}
		case found.State == types.SnapshotStatePending:
			state = types.ImageStatePending
		}
	}
	return state, nil
}

func snapshotsOf(one *image) []string {
	var ids []string
	for _, mapping := range one.Data.BlockDeviceMappings {
		if mapping.Ebs != nil && mapping.Ebs.SnapshotId != nil {
			ids = append(ids, *mapping.Ebs.SnapshotId)
		}
	}
	return ids
}

// imageWith is an image that needs a snapshot, "" for none; it needs the mutex.
func (s *Service) imageWith(snapshot string) string {
	for _, one := range s.state.Images {
		if slices.Contains(snapshotsOf(one), snapshot) {
			return *one.Data.ImageId
		}
	}
	return ""
}

// checkName needs the mutex.
func (s *Service) checkName(region, name string) error {
	if len(name) < 3 || len(name) > 128 || strings.Trim(name, imageLetters) != "" {
		return wire.Errorf("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "+
			"'(', ')', '.', '-', '/', '_', '[', ']', '@', '\\'' and spaces; this is '%s'", name)
	}
	for _, one := range s.state.Images {
		if one.Owner == s.options.Account && *one.Data.Name == name && s.regionOfImage(one) == region {
			return wire.Errorf("InvalidAMIName.Duplicate", "AMI name %s is already in use by AMI %s", name, *one.Data.ImageId)
		}
	}
	return nil
}

const imageLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[] ./-'@_"

// addImage needs the mutex.
func (s *Service) addImage(region string, data types.Image, tags map[string]string) *image {
	data.ImageId, data.Public = aws.String(newID("ami")), aws.Bool(false)
	one := &image{Created: time.Now().UTC(), Owner: s.options.Account, Region: region, Data: data}
	s.state.Images = append(s.state.Images, one)
	s.addTags(*data.ImageId, tags)
	return one
}

// registerImage has EC2's own defaults, which hardly anybody wants: i386 and
// paravirtual.
func (s *Service) registerImage(ctx context.Context, in *ec2.RegisterImageInput) (*ec2.RegisterImageOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeImage)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	region := s.regionOf(ctx)
	if err := s.checkName(region, aws.ToString(in.Name)); err != nil {
		return nil, err
	}
	mappings, err := s.registered(region, in)
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	data := types.Image{BlockDeviceMappings: mappings}
	overwriteWith(&data, *in)
	data.BlockDeviceMappings = mappings
	data.Architecture = cmp.Or(in.Architecture, types.ArchitectureValuesI386)
	data.VirtualizationType = types.VirtualizationType(cmp.Or(aws.ToString(in.VirtualizationType), string(types.VirtualizationTypeParavirtual)))
	one := s.addImage(region, data, tags)
	s.options.Changed()
	return &ec2.RegisterImageOutput{ImageId: one.Data.ImageId}, nil
}

// registered checks and completes the mappings of an image to be; it needs the
// mutex.
func (s *Service) registered(region string, in *ec2.RegisterImageInput) ([]types.BlockDeviceMapping, error) {
	var mappings []types.BlockDeviceMapping
	hasRoot := false
	for _, given := range in.BlockDeviceMappings {
		mapping := *copied(&given)
		mappings = append(mappings, mapping)
		hasRoot = hasRoot || aws.ToString(mapping.DeviceName) == aws.ToString(in.RootDeviceName)
		if mapping.Ebs == nil || mapping.Ebs.SnapshotId == nil {
			continue
		}
		if mapping.Ebs.Encrypted != nil {
			return nil, wire.Errorf("InvalidParameterCombination", "The parameter Encrypted may not be given together with a snapshot.")
		}
		one, err := s.completed(region, *mapping.Ebs.SnapshotId)
		if err != nil {
			return nil, err
		}
		size := cmp.Or(aws.ToInt32(mapping.Ebs.VolumeSize), one.Size)
		if size < one.Size {
			return nil, wire.Errorf("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot '%s', expect size >= %dGB", size, one.ID, one.Size)
		}
		mapping.Ebs.VolumeSize, mapping.Ebs.Encrypted = aws.Int32(size), aws.Bool(one.Encrypted)
		mapping.Ebs.VolumeType = cmp.Or(mapping.Ebs.VolumeType, types.VolumeTypeGp2)
		if mapping.Ebs.DeleteOnTermination == nil {
			mapping.Ebs.DeleteOnTermination = aws.Bool(true)
		}
	}
	if len(mappings) > 0 && !hasRoot {
		return nil, wire.Errorf("InvalidBlockDeviceMapping", "The root device '%s' is not among the block device mappings.", aws.ToString(in.RootDeviceName))
	}
	return mappings, nil
}

func (s *Service) describeImages(ctx context.Context, in *ec2.DescribeImagesInput) (*ec2.DescribeImagesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	region := s.regionOf(ctx)
	for _, id := range in.ImageIds {
		if _, err := s.imageIn(region, id); err != nil {
			return nil, err
		}
	}
	var all []types.Image
	for _, one := range s.state.Images {
		owned := len(in.Owners) == 0 || slices.Contains(in.Owners, one.Owner) ||
			slices.Contains(in.Owners, "self") && one.Owner == s.options.Account
		asked := len(in.ImageIds) == 0 || slices.Contains(in.ImageIds, *one.Data.ImageId)
		hidden := one.Owner != s.options.Account && s.isDeprecated(one) && !aws.ToBool(in.IncludeDeprecated)
		if owned && asked && !hidden && s.regionOfImage(one) == region && s.visible(one.Created) {
			all = append(all, s.describeImage(one))
		}
	}
	all, err := selected(all, in.Filters, s.imageAttributes)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeImagesOutput{}
	out.Images, out.NextToken, err = page(all, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}

func (s *Service) isDeprecated(one *image) bool {
	return !one.Deprecated.IsZero() && !time.Now().Before(one.Deprecated)
}

func (s *Service) describeImage(one *image) types.Image {
	described := *copied(&one.Data)
	described.CreationDate = aws.String(one.Created.Format(timeLayout))
	described.OwnerId = &one.Owner
	described.ImageLocation = aws.String(one.Owner + "/" + aws.ToString(one.Data.Name))
	described.State, described.StateReason = s.stateOf(one)
	described.ImageType = types.ImageTypeValuesMachine
	described.RootDeviceType = types.DeviceTypeEbs
	described.Hypervisor = types.HypervisorTypeXen
	described.PlatformDetails, described.UsageOperation = aws.String("Linux/UNIX"), aws.String("RunInstances")
	described.Tags = s.tagsOf(*one.Data.ImageId)
	if !one.Deprecated.IsZero() {
		described.DeprecationTime = aws.String(one.Deprecated.Format(timeLayout))
	}
	described.DeregistrationProtection = aws.String(one.protection())
	if slices.ContainsFunc(one.Shared, func(p types.LaunchPermission) bool { return p.Group == types.PermissionGroupAll }) {
		described.Public = aws.Bool(true)
	}
	return described
}

func (one *image) protection() string {
	switch {
	case !one.Protected:
		return "disabled"
	case one.Cooldown:
		return "enabled-with-cooldown"
	}
	return "enabled-without-cooldown"
}

func (s *Service) imageAttributes(one types.Image) attributes {
	a := attributes{
		"architecture":  {string(one.Architecture)},
		"creation-date": {*one.CreationDate},
		"ena-support":   {strconv.FormatBool(aws.ToBool(one.EnaSupport))},
		"hypervisor":    {string(one.Hypervisor)},
		"image-id":      {*one.ImageId},
		"image-type":    {string(one.ImageType)},
		"is-public":     {strconv.FormatBool(aws.ToBool(one.Public))},
		"name":          {aws.ToString(one.Name)},
		"description":   {aws.ToString(one.Description)},
		"owner-id":      {*one.OwnerId},
		"owner-alias":   nil,
		"state":         {string(one.State)},

		"root-device-name":    {aws.ToString(one.RootDeviceName)},
		"root-device-type":    {string(one.RootDeviceType)},
		"virtualization-type": {string(one.VirtualizationType)},
		"source-instance-id":  {aws.ToString(one.SourceInstanceId)},

		"block-device-mapping.snapshot-id": nil, "block-device-mapping.device-name": nil,
		"block-device-mapping.volume-type": nil, "block-device-mapping.encrypted": nil,
		"block-device-mapping.delete-on-termination": nil, "block-device-mapping.volume-size": nil,
	}
	for _, mapping := range one.BlockDeviceMappings {
		add := func(name, value string) {
			a["block-device-mapping."+name] = append(a["block-device-mapping."+name], value)
		}
		add("device-name", aws.ToString(mapping.DeviceName))
		if ebs := mapping.Ebs; ebs != nil {
			add("snapshot-id", aws.ToString(ebs.SnapshotId))
			add("volume-type", string(ebs.VolumeType))
			add("volume-size", strconv.Itoa(int(aws.ToInt32(ebs.VolumeSize))))
			add("encrypted", strconv.FormatBool(aws.ToBool(ebs.Encrypted)))
			add("delete-on-termination", strconv.FormatBool(aws.ToBool(ebs.DeleteOnTermination)))
		}
	}
	return a.withTags(s.state.Tags[*one.ImageId])
}

func (s *Service) deregisterImage(ctx context.Context, in *ec2.DeregisterImageInput) (*ec2.DeregisterImageOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	region := s.regionOf(ctx)
	one, err := s.ownImage(region, in.ImageId, in.DryRun)
	if err != nil {
		return nil, err
	}
	id := *one.Data.ImageId
	if one.Protected {
		return nil, wire.Errorf("OperationNotPermitted", "The image '%s' is protected from deregistration", id)
	}
	s.state.Images = slices.DeleteFunc(s.state.Images, func(other *image) bool { return other == one })
	delete(s.state.Tags, id)
	s.state.Deregistered[id] = time.Now().UTC()
	out := &ec2.DeregisterImageOutput{Return: aws.Bool(true)}
	if aws.ToBool(in.DeleteAssociatedSnapshots) {
		for _, snapshot := range snapshotsOf(one) {
			out.DeleteSnapshotResults = append(out.DeleteSnapshotResults, types.DeleteSnapshotReturnCode{
				SnapshotId: aws.String(snapshot), ReturnCode: s.deleteWith(region, snapshot),
			})
		}
	}
	s.options.Changed()
	return out, nil
}

// deleteWith deletes a snapshot of an image that is gone; it needs the mutex.
func (s *Service) deleteWith(region, id string) types.SnapshotReturnCodes {
	one, err := s.snapshot(region, id)
	switch {
	case isSeeded(id):
		return types.SnapshotReturnCodesErrorMissingPermissions
	case err != nil:
		return types.SnapshotReturnCodesErrorCodeClientError
	case s.imageWith(id) != "":
		return types.SnapshotReturnCodesWarnSkipped
	}
	s.forget(one)
	return types.SnapshotReturnCodesSuccess
}
