package aws_test

import (
	"slices"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/bake/ami"
)

// image registers an image of an empty volume.
func (l local) image(name string, tags ...types.Tag) string {
	l.t.Helper()
	ctx := l.t.Context()
	volume, err := l.EC2().CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: sdk.String(l.Region() + "a"), Size: sdk.Int32(1)})
	l.must(err)
	snapshot, err := l.EC2().CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	l.must(err)
	l.must(ec2.NewSnapshotCompletedWaiter(l.EC2(), func(o *ec2.SnapshotCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	}).Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot.SnapshotId}}, time.Minute))
	made, err := l.EC2().RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: &name, RootDeviceName: sdk.String("/dev/xvda"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: sdk.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot.SnapshotId}}},
		TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: tags}},
	})
	l.must(err)
	return *made.ImageId
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func TestImagesAreFoundByExactTags(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		id := l.image("one", tag("store", "s3://a*"), tag("version", "v42"))
		l.image("other", tag("store", "s3://ab"), tag("version", "v42"))
		found, err := l.Images().Find(l.t.Context(), "", map[string]string{"store": "s3://a*", "version": "v42"})
		l.must(err)
		if len(found) != 1 || found[0].ID != id || found[0].Region != l.Region() || found[0].Name != "one" || found[0].State != ami.Available ||
			found[0].Encrypted || len(found[0].Snapshots) != 1 || found[0].Created.IsZero() || !found[0].Deprecated.IsZero() || found[0].Account == "" {
			l.t.Errorf("found %+v", found)
		}
		if found, err := l.Images().Find(l.t.Context(), "us-east-1", map[string]string{"version": "v42"}); err != nil || len(found) > 0 {
			l.t.Errorf("elsewhere there are %+v, %v", found, err)
		}
	})
}

func TestImagesAreCopiedAndOpened(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		l.image("one", tag("version", "v42"))
		found, err := l.Images().Find(l.t.Context(), "", map[string]string{"version": "v42"})
		l.must(err)
		c := ami.Copy{From: found[0], To: "us-east-1", Tags: map[string]string{"version": "v42", "run": "r1"}, Token: "r1-us-east-1"}
		id, err := l.Images().Copy(l.t.Context(), c)
		l.must(err)
		again, err := l.Images().Copy(l.t.Context(), c)
		l.must(err)
		there, err := l.Images().Find(l.t.Context(), "us-east-1", c.Tags)
		l.must(err)
		if again != id || len(there) != 1 || there[0].ID != id || there[0].Encrypted || there[0].Region != "us-east-1" {
			l.t.Fatalf("copied to %s and %s; there are %+v", id, again, there)
		}
		locked, err := l.Images().Copy(l.t.Context(), ami.Copy{From: found[0], To: "eu-west-1", Encrypted: true, Tags: c.Tags, Token: "r1-eu-west-1"})
		l.must(err)
		other, err := l.Images().Find(l.t.Context(), "eu-west-1", c.Tags)
		if err != nil || len(other) != 1 || other[0].ID != locked || !other[0].Encrypted {
			l.t.Errorf("an encrypted copy %s: %+v, %v", locked, other, err)
		}
		until := time.Now().Add(24 * time.Hour).UTC().Round(time.Minute)
		l.must(l.Images().Open(l.t.Context(), there[0], ami.Access{Accounts: []string{"210987654321"}, Deprecate: until}))
		far := func(o *ec2.Options) { o.Region = "us-east-1" }
		launch, err := l.EC2().DescribeImageAttribute(l.t.Context(), &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: types.ImageAttributeNameLaunchPermission}, far)
		l.must(err)
		volumes, err := l.EC2().DescribeSnapshotAttribute(l.t.Context(), &ec2.DescribeSnapshotAttributeInput{
			SnapshotId: &there[0].Snapshots[0], Attribute: types.SnapshotAttributeNameCreateVolumePermission,
		}, far)
		l.must(err)
		if len(launch.LaunchPermissions) != 1 || *launch.LaunchPermissions[0].UserId != "210987654321" || len(volumes.CreateVolumePermissions) != 1 {
			l.t.Errorf("open to %+v and %+v", launch.LaunchPermissions, volumes.CreateVolumePermissions)
		}
		there, err = l.Images().Find(l.t.Context(), "us-east-1", c.Tags)
		l.must(err)
		if !there[0].Deprecated.Equal(until) {
			l.t.Errorf("deprecated at %v, want %v", there[0].Deprecated, until)
		}
	})
}

func TestBuildingInstancesAreFound(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		launch := func(tags ...types.Tag) string {
			out, err := l.EC2().RunInstances(l.t.Context(), &ec2.RunInstancesInput{
				ImageId: sdk.String("ami-0123456789abcdef0"), MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1),
				TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: tags}},
			})
			l.must(err)
			return *out.Instances[0].InstanceId
		}
		launch(tag("version", "v41"))
		id := launch(tag("version", "v42"), tag("run", "r1"))
		wanted := map[string]string{"version": "v42"}
		found, err := l.Images().Building(l.t.Context(), wanted)
		if err != nil || len(found) != 1 || found[0]["run"] != "r1" {
			l.t.Errorf("found %v, %v", found, err)
		}
		_, err = l.EC2().TerminateInstances(l.t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		l.must(err)
		found, err = l.Images().Building(l.t.Context(), wanted)
		if err != nil || slices.ContainsFunc(found, func(tags map[string]string) bool { return tags["run"] == "r1" }) {
			l.t.Errorf("one that ends is still found: %v, %v", found, err)
		}
	})
}
