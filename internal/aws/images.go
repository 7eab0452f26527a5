package aws

import (
	"context"
	"maps"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/bake/ami"
)

// images finds, copies and shares AMIs, in any region.
type images struct {
	client *ec2.Client
	region string
}

// Images finds, copies and shares AMIs.
func (c *Clients) Images() ami.Images { return images{c.ec2, c.region} }

// inRegion calls a region; empty is the client's own.
func inRegion(region string) func(*ec2.Options) {
	return func(o *ec2.Options) {
		if region != "" {
			o.Region = region
		}
	}
}

// tagged selects what has all these tags.
func tagged(tags map[string]string) []types.Filter {
	var filters []types.Filter
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		filters = append(filters, types.Filter{Name: sdk.String("tag:" + key), Values: []string{tags[key]}})
	}
	return filters
}

func (i images) Find(ctx context.Context, region string, tags map[string]string) ([]ami.Image, error) {
	var found []ami.Image
	pages := ec2.NewDescribeImagesPaginator(i.client, &ec2.DescribeImagesInput{
		Owners: []string{"self"}, Filters: tagged(tags), IncludeDeprecated: sdk.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, inRegion(region))
		if err != nil {
			return nil, about("images of a release", err)
		}
		for _, one := range page.Images {
			if hasTags(one.Tags, tags) {
				found = append(found, i.image(region, one))
			}
		}
	}
	slices.SortFunc(found, func(a, b ami.Image) int { return b.Created.Compare(a.Created) })
	return found, nil
}

func (i images) image(region string, one types.Image) ami.Image {
	if region == "" {
		region = i.region
	}
	found := ami.Image{
		ID: sdk.ToString(one.ImageId), Region: region, Account: sdk.ToString(one.OwnerId), Name: sdk.ToString(one.Name),
		State: ami.State(one.State), Created: timeOf(one.CreationDate), Deprecated: timeOf(one.DeprecationTime), Tags: fromTags(one.Tags),
	}
	plain := false
	for _, mapping := range one.BlockDeviceMappings {
		if mapping.Ebs != nil && mapping.Ebs.SnapshotId != nil {
			found.Snapshots = append(found.Snapshots, *mapping.Ebs.SnapshotId)
			plain = plain || !sdk.ToBool(mapping.Ebs.Encrypted)
		}
	}
	found.Encrypted = len(found.Snapshots) > 0 && !plain
	return found
}

// timeOf reads the times that EC2 writes as text; what cannot be read is zero.
func timeOf(text *string) time.Time {
	t, _ := time.Parse(time.RFC3339, sdk.ToString(text))
	return t.UTC()
}

func fromTags(list []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, tag := range list {
		tags[sdk.ToString(tag.Key)] = sdk.ToString(tag.Value)
	}
	return tags
}

// hasTags compares exactly: in filters * and ? stand for anything.
func hasTags(list []types.Tag, wanted map[string]string) bool {
	have := fromTags(list)
	for key, value := range wanted {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func (i images) Building(ctx context.Context, tags map[string]string) ([]map[string]string, error) {
	in := &ec2.DescribeInstancesInput{Filters: append(tagged(tags), types.Filter{
		Name: sdk.String("instance-state-name"), Values: []string{"pending", "running", "stopping", "stopped"},
	})}
	var found []map[string]string
	for pages := ec2.NewDescribeInstancesPaginator(i.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about("instances that build an image", err)
		}
		for _, r := range page.Reservations {
			for _, one := range r.Instances {
				if hasTags(one.Tags, tags) {
					found = append(found, fromTags(one.Tags))
				}
			}
		}
	}
	return found, nil
}

// Copy asks the region where the copy shall be.
func (i images) Copy(ctx context.Context, c ami.Copy) (string, error) {
	in := &ec2.CopyImageInput{
		SourceRegion: &c.From.Region, SourceImageId: &c.From.ID, Name: &c.From.Name, Description: &c.Description, ClientToken: &c.Token,
	}
	if c.Encrypted {
		in.Encrypted = sdk.Bool(true)
	}
	for _, kind := range []types.ResourceType{types.ResourceTypeImage, types.ResourceTypeSnapshot} {
		in.TagSpecifications = append(in.TagSpecifications, types.TagSpecification{ResourceType: kind, Tags: toTags(c.Tags)})
	}
	out, err := i.client.CopyImage(ctx, in, inRegion(c.To))
	if err != nil {
		return "", about(c.From.ID, err)
	}
	return sdk.ToString(out.ImageId), nil
}

// Open lets accounts launch the image, and copy it: that needs its snapshots.
func (i images) Open(ctx context.Context, one ami.Image, a ami.Access) error {
	in := inRegion(one.Region)
	if !a.Deprecate.IsZero() {
		if _, err := i.client.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: &one.ID, DeprecateAt: &a.Deprecate}, in); err != nil {
			return about(one.ID, err)
		}
	}
	if len(a.Accounts) == 0 {
		return nil
	}
	permission := &types.LaunchPermissionModifications{}
	for _, account := range a.Accounts {
		permission.Add = append(permission.Add, types.LaunchPermission{UserId: sdk.String(account)})
	}
	if _, err := i.client.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: &one.ID, LaunchPermission: permission}, in); err != nil {
		return about(one.ID, err)
	}
	for _, id := range one.Snapshots {
		if _, err := i.client.ModifySnapshotAttribute(ctx, &ec2.ModifySnapshotAttributeInput{
			SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission,
			OperationType: types.OperationTypeAdd, UserIds: a.Accounts,
		}, in); err != nil {
			return about(id, err)
		}
	}
	return nil
}
