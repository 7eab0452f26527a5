package ec2

import (
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

// debianOwner is the account that Debian publishes its images from.
const debianOwner = "136693071363"

type image struct {
	Created time.Time
	Owner   string
	Data    types.Image
}

func seededImages() []*image {
	published := time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)
	return []*image{{Created: published, Owner: debianOwner, Data: types.Image{
		ImageId: aws.String(DefaultImage), Name: aws.String("debian-12-amd64-20260112-1"),
		Description: aws.String("Debian 12, as far as the host is"), Public: aws.Bool(true),
		Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
	}}}
}

// image finds one; it needs the mutex.
func (s *Service) image(id string) (*image, error) {
	if !isID("ami", id) {
		return nil, wire.Errorf("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
	}
	for _, one := range s.state.Images {
		if *one.Data.ImageId == id && s.visible(one.Created) {
			return one, nil
		}
	}
	return nil, wire.Errorf("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
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

func (s *Service) registerImage(_ context.Context, in *ec2.RegisterImageInput) (*ec2.RegisterImageOutput, error) {
	name := aws.ToString(in.Name)
	if len(name) < 3 || len(name) > 128 {
		return nil, wire.Errorf("InvalidAMIName.Malformed", "AMI name '%s' must have 3 to 128 characters", name)
	}
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeImage)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.state.Images {
		if one.Owner == s.options.Account && *one.Data.Name == name {
			return nil, wire.Errorf("InvalidAMIName.Duplicate", "AMI name %s is already in use by AMI %s", name, *one.Data.ImageId)
		}
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	id := newID("ami")
	s.state.Images = append(s.state.Images, &image{Created: time.Now().UTC(), Owner: s.options.Account, Data: types.Image{
		ImageId: &id, Name: &name, Description: in.Description, Public: aws.Bool(false),
		Architecture: in.Architecture, RootDeviceName: in.RootDeviceName,
		BlockDeviceMappings: in.BlockDeviceMappings, EnaSupport: in.EnaSupport, BootMode: in.BootMode,
	}})
	s.addTags(id, tags)
	s.options.Changed()
	return &ec2.RegisterImageOutput{ImageId: &id}, nil
}

func (s *Service) describeImages(_ context.Context, in *ec2.DescribeImagesInput) (*ec2.DescribeImagesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range in.ImageIds {
		if _, err := s.image(id); err != nil {
			return nil, err
		}
	}
	var all []types.Image
	for _, one := range s.state.Images {
		owned := len(in.Owners) == 0 || slices.Contains(in.Owners, one.Owner) ||
			slices.Contains(in.Owners, "self") && one.Owner == s.options.Account
		asked := len(in.ImageIds) == 0 || slices.Contains(in.ImageIds, *one.Data.ImageId)
		if owned && asked && s.visible(one.Created) {
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

func (s *Service) describeImage(one *image) types.Image {
	described := *copied(&one.Data)
	described.CreationDate = aws.String(one.Created.Format(timeLayout))
	described.OwnerId = &one.Owner
	described.State = types.ImageStateAvailable
	described.ImageType = types.ImageTypeValuesMachine
	described.VirtualizationType = types.VirtualizationTypeHvm
	described.RootDeviceType = types.DeviceTypeEbs
	described.Tags = s.tagsOf(*one.Data.ImageId)
	return described
}

func (s *Service) imageAttributes(one types.Image) attributes {
	return attributes{
		"architecture": {string(one.Architecture)},
		"image-id":     {*one.ImageId},
		"is-public":    {strconv.FormatBool(aws.ToBool(one.Public))},
		"name":         {aws.ToString(one.Name)},
		"description":  {aws.ToString(one.Description)},
		"owner-id":     {*one.OwnerId},
		"state":        {string(one.State)},

		"root-device-type":    {string(one.RootDeviceType)},
		"virtualization-type": {string(one.VirtualizationType)},
	}.withTags(s.state.Tags[*one.ImageId])
}

func (s *Service) deregisterImage(_ context.Context, in *ec2.DeregisterImageInput) (*ec2.DeregisterImageOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.image(aws.ToString(in.ImageId))
	if err != nil {
		return nil, err
	}
	if one.Owner != s.options.Account {
		return nil, &wire.Error{Code: "AuthFailure", Status: 403, Message: "Not authorized for image:" + *one.Data.ImageId}
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.state.Images = slices.DeleteFunc(s.state.Images, func(other *image) bool { return other == one })
	delete(s.state.Tags, *one.Data.ImageId)
	s.options.Changed()
	return &ec2.DeregisterImageOutput{Return: aws.Bool(true)}, nil
}
