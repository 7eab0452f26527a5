package ec2

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const maxTags = 50

// addTags needs the mutex.
func (s *Service) addTags(id string, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	if s.state.Tags[id] == nil {
		s.state.Tags[id] = map[string]string{}
	}
	maps.Copy(s.state.Tags[id], tags)
}

// tagsOf are a resource's tags by key; it needs the mutex.
func (s *Service) tagsOf(id string) []types.Tag { return tagList(s.state.Tags[id]) }

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// tagMap checks tags that a caller gives.
func tagMap(tags []types.Tag) (map[string]string, error) {
	checked := map[string]string{}
	for _, tag := range tags {
		key := aws.ToString(tag.Key)
		switch {
		case key == "" || len(key) > 128:
			return nil, wire.Errorf("InvalidParameterValue", "Tag key '%s' must have 1 to 128 characters", key)
		case len(aws.ToString(tag.Value)) > 256:
			return nil, wire.Errorf("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, wire.Errorf("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		}
		checked[key] = aws.ToString(tag.Value)
	}
	if len(checked) > maxTags {
		return nil, wire.Errorf("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	return checked, nil
}

// specifiedTags picks the tags of one resource type.
func specifiedTags(specifications []types.TagSpecification, resource types.ResourceType) (map[string]string, error) {
	for _, specification := range specifications {
		if specification.ResourceType == resource {
			return tagMap(specification.Tags)
		}
	}
	return nil, nil
}

func (s *Service) createTags(_ context.Context, in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, id := range in.Resources {
		if _, err = s.resourceType(id); err != nil {
			break
		}
	}
	if err == nil {
		err = refuseDryRun(in.DryRun)
	}
	if err == nil {
		for _, id := range in.Resources {
			s.addTags(id, tags)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.options.Changed()
	return &ec2.CreateTagsOutput{}, nil
}

// deleteTags takes a tag away whatever its value when none is given, and all
// tags when no key is.
func (s *Service) deleteTags(_ context.Context, in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, id := range in.Resources {
		if len(in.Tags) == 0 {
			maps.DeleteFunc(s.state.Tags[id], func(key, _ string) bool { return !strings.HasPrefix(key, "aws:") })
		}
		for _, tag := range in.Tags {
			value, ok := s.state.Tags[id][aws.ToString(tag.Key)]
			if ok && (tag.Value == nil || *tag.Value == value) {
				delete(s.state.Tags[id], *tag.Key)
			}
		}
	}
	s.mu.Unlock()
	s.options.Changed()
	return &ec2.DeleteTagsOutput{}, nil
}

func (s *Service) describeTags(_ context.Context, in *ec2.DescribeTagsInput) (*ec2.DescribeTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []types.TagDescription
	for _, id := range slices.Sorted(maps.Keys(s.state.Tags)) {
		kind, err := s.resourceType(id)
		if err != nil {
			continue // of something that is gone
		}
		for _, tag := range s.tagsOf(id) {
			all = append(all, types.TagDescription{Key: tag.Key, Value: tag.Value, ResourceId: aws.String(id), ResourceType: kind})
		}
	}
	kept, err := selected(all, in.Filters, func(t types.TagDescription) attributes {
		return attributes{
			"key": {*t.Key}, "value": {*t.Value}, "resource-id": {*t.ResourceId}, "resource-type": {string(t.ResourceType)},
		}.withTags(map[string]string{*t.Key: *t.Value})
	})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeTagsOutput{}
	out.Tags, out.NextToken, err = page(kept, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}

// resourceType finds what an identifier names; it needs the mutex.
func (s *Service) resourceType(id string) (types.ResourceType, error) {
	prefix, _, _ := strings.Cut(id, "-")
	var err error
	switch prefix {
	case "i":
		_, err = s.instance(id)
		return types.ResourceTypeInstance, err
	case "lt":
		_, err = s.template(templateRef{id: id})
		return types.ResourceTypeLaunchTemplate, err
	case "ami":
		if slices.ContainsFunc(s.state.Images, func(one *image) bool { return *one.Data.ImageId == id && s.visible(one.Created) }) {
			return types.ResourceTypeImage, nil
		}
		_, err = s.image(id)
		return types.ResourceTypeImage, err
	case "snap":
		if slices.ContainsFunc(s.state.Snapshots, func(one *snapshot) bool { return one.ID == id && s.visible(one.Started) }) {
			return types.ResourceTypeSnapshot, nil
		}
		_, err = s.snapshot(s.options.Region, id)
		return types.ResourceTypeSnapshot, err
	case "vol":
		_, err = s.volume(id)
		return types.ResourceTypeVolume, err
	case "key":
		_, err = s.keyPairByID(id)
		return types.ResourceTypeKeyPair, err
	case "subnet":
		return types.ResourceTypeSubnet, s.checkNetwork(id)
	case "vpc":
		return types.ResourceTypeVpc, s.checkNetwork(id)
	case "sg":
		_, err = s.findGroup(id, "")
		return types.ResourceTypeSecurityGroup, err
	}
	return "", wire.Errorf("InvalidID", "The ID '%s' is not valid", id)
}
