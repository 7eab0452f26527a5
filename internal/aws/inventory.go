package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/owner"
)

// endTimeout is how long an instance may take to end. Most need a minute, but one
// that does not answer is given several.
const (
	endTimeout = 15 * time.Minute
	endPoll    = time.Second
)

// account is what wpbake made in one region.
type account struct{ client *ec2.Client }

// Inventory is what wpbake made in the region, without uploads.
func (c *Clients) Inventory() inventory.Account { return account{c.ec2} }

// Unfinished lists things by the tag of every bake.
func (a account) Unfinished(ctx context.Context, kind inventory.Kind) ([]inventory.Resource, error) {
	list := map[inventory.Kind]func(context.Context, []types.Filter) ([]inventory.Resource, error){
		inventory.Instance: a.instances, inventory.Image: a.images, inventory.Snapshot: a.snapshots,
		inventory.Volume: a.volumes, inventory.SecurityGroup: a.groups, inventory.KeyPair: a.keyPairs,
	}[kind]
	if list == nil {
		return nil, fmt.Errorf("listing things of kind %q: EC2 has none", kind)
	}
	found, err := list(ctx, []types.Filter{filter("tag-key", owner.TagRun)})
	return found, about("tag-key="+owner.TagRun, err)
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

func (a account) instances(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeInstancesPaginator(a.client, &ec2.DescribeInstancesInput{
		Filters: append(filters, filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down")),
	})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, err
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				r := resource(inventory.Instance, i.InstanceId, i.Tags)
				r.Created = sdk.ToTime(i.LaunchTime)
				if i.State != nil {
					r.State = string(i.State.Name)
				}
				found = append(found, r)
			}
		}
	}
	return found, nil
}

func (a account) images(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeImagesPaginator(a.client, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: filters})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, err
		}
		for _, image := range page.Images {
			if r := imageResource(image); !slices.Contains(finishedImages, image.State) {
				found = append(found, r)
			}
		}
	}
	return found, nil
}

// finishedImages are states that no bake leaves: EC2's filter knows only some of
// the others.
var finishedImages = []types.ImageState{types.ImageStateAvailable, types.ImageStateDisabled, types.ImageStateDeregistered}

func imageResource(image types.Image) inventory.Resource {
	r := resource(inventory.Image, image.ImageId, image.Tags)
	r.Name, r.State = sdk.ToString(image.Name), string(image.State)
	r.Created, _ = time.Parse(time.RFC3339, sdk.ToString(image.CreationDate)) // none while it is pending
	return r
}

func (a account) snapshots(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	return a.describeSnapshots(ctx, append(filters, filter("status", "pending", "error")))
}

func (a account) describeSnapshots(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeSnapshotsPaginator(a.client, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: filters})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, err
		}
		for _, s := range page.Snapshots {
			r := resource(inventory.Snapshot, s.SnapshotId, s.Tags)
			r.State, r.Created = string(s.State), sdk.ToTime(s.StartTime)
			found = append(found, r)
		}
	}
	return found, nil
}

func (a account) volumes(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeVolumesPaginator(a.client, &ec2.DescribeVolumesInput{Filters: filters})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, err
		}
		for _, v := range page.Volumes {
			r := resource(inventory.Volume, v.VolumeId, v.Tags)
			r.State, r.Created = string(v.State), sdk.ToTime(v.CreateTime)
			for _, at := range v.Attachments {
				r.Within = append(r.Within, sdk.ToString(at.InstanceId))
			}
			found = append(found, r)
		}
	}
	return found, nil
}

func (a account) groups(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeSecurityGroupsPaginator(a.client, &ec2.DescribeSecurityGroupsInput{Filters: filters})
	var found []inventory.Resource
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, err
		}
		for _, g := range page.SecurityGroups {
			r := resource(inventory.SecurityGroup, g.GroupId, g.Tags)
			r.Name = sdk.ToString(g.GroupName)
			found = append(found, r)
		}
	}
	return found, nil
}

func (a account) keyPairs(ctx context.Context, filters []types.Filter) ([]inventory.Resource, error) {
	out, err := a.client.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{Filters: filters})
	if err != nil {
		return nil, err
	}
	var found []inventory.Resource
	for _, k := range out.KeyPairs {
		r := resource(inventory.KeyPair, k.KeyPairId, k.Tags)
		r.Name, r.Created = sdk.ToString(k.KeyName), sdk.ToTime(k.CreateTime)
		found = append(found, r)
	}
	return found, nil
}

func resource(kind inventory.Kind, id *string, tags []types.Tag) inventory.Resource {
	r := inventory.Resource{Kind: kind, ID: sdk.ToString(id), Tags: map[string]string{}}
	for _, t := range tags {
		r.Tags[sdk.ToString(t.Key)] = sdk.ToString(t.Value)
	}
	return r
}

// Remove removes one thing. For about a minute it waits for what still holds
// it: network interfaces and attachments end after their instance.
func (a account) Remove(ctx context.Context, r inventory.Resource) error {
	err := settle(ctx, isHeld, func() error { return a.remove(ctx, r) })
	if isGone(err) {
		return nil
	}
	return about(r.ID, err)
}

func (a account) remove(ctx context.Context, r inventory.Resource) (err error) {
	switch r.Kind {
	case inventory.Instance:
		_, err = a.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{r.ID}})
	case inventory.Image:
		_, err = a.client.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &r.ID})
	case inventory.Snapshot:
		_, err = a.client.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &r.ID})
	case inventory.Volume:
		_, err = a.client.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &r.ID})
	case inventory.SecurityGroup:
		_, err = a.client.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &r.ID})
	case inventory.KeyPair:
		_, err = a.client.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyPairId: &r.ID})
	default:
		err = fmt.Errorf("removing %s %q: EC2 has none", r.Kind, r.ID)
	}
	return err
}

// Ended asks until the instance is terminated. The SDK's own waiter gives up on
// one that EC2 still takes for pending or stopping.
func (a account) Ended(ctx context.Context, id string) error {
	for begun := time.Now(); ; {
		out, err := a.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		switch state := stateOf(out); {
		case isGone(err) || err == nil && (state == types.InstanceStateNameTerminated || state == ""):
			return nil
		case err != nil:
			return about(id, err)
		case time.Since(begun) > endTimeout:
			return fmt.Errorf("waiting for the end of instance %q: it is still %s after %s", id, state, endTimeout)
		}
		if err := pause(ctx, endPoll); err != nil {
			return fmt.Errorf("waiting for the end of instance %q: %w", id, err)
		}
	}
}

// stateOf is empty when there is no instance.
func stateOf(out *ec2.DescribeInstancesOutput) types.InstanceStateName {
	if out == nil || len(out.Reservations) == 0 || len(out.Reservations[0].Instances) == 0 || out.Reservations[0].Instances[0].State == nil {
		return ""
	}
	return out.Reservations[0].Instances[0].State.Name
}

// isHeld means that something else has to go first.
func isHeld(err error) bool {
	e := (*Error)(nil)
	return errors.As(err, &e) && slices.Contains([]string{"DependencyViolation", "VolumeInUse", "InvalidSnapshot.InUse", "InvalidGroup.InUse"}, e.Code)
}

// isGone means that there is nothing to remove.
func isGone(err error) bool {
	e := (*Error)(nil)
	return errors.As(err, &e) && (strings.HasSuffix(e.Code, ".NotFound") || e.Code == "InvalidAMIID.Unavailable" || e.Code == "NoSuchUpload")
}
