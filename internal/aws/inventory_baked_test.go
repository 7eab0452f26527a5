package aws_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/owner"
)

// snapshot makes a finished one, of a bake when it is tagged.
func (l local) snapshot(tags ...ec2types.Tag) string {
	l.t.Helper()
	synctest.Wait() // until the cloud runs: what is pending before that counts as lost
	ctx := l.t.Context()
	v, err := l.EC2().CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: sdk.String("eu-central-1a"), Size: sdk.Int32(1)})
	l.must(err)
	in := &ec2.CreateSnapshotInput{VolumeId: v.VolumeId}
	if len(tags) > 0 {
		in.TagSpecifications = []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSnapshot, Tags: tags}}
	}
	s, err := l.EC2().CreateSnapshot(ctx, in)
	l.must(err)
	synctest.Wait() // until it is read
	return *s.SnapshotId
}

// imageOf makes an image of a snapshot, of a bake when it is tagged.
func (l local) imageOf(name, snapshot string, tags ...ec2types.Tag) string {
	l.t.Helper()
	in := &ec2.RegisterImageInput{
		Name: &name, RootDeviceName: sdk.String("/dev/xvda"), Architecture: ec2types.ArchitectureValuesX8664, VirtualizationType: sdk.String("hvm"),
		BlockDeviceMappings: []ec2types.BlockDeviceMapping{{DeviceName: sdk.String("/dev/xvda"), Ebs: &ec2types.EbsBlockDevice{SnapshotId: &snapshot}}},
	}
	if len(tags) > 0 {
		in.TagSpecifications = []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeImage, Tags: tags}}
	}
	out, err := l.EC2().RegisterImage(l.t.Context(), in)
	l.must(err)
	return *out.ImageId
}

// launching is template data that names an image, and perhaps a snapshot.
func launching(image, snapshot string) *ec2types.RequestLaunchTemplateData {
	data := &ec2types.RequestLaunchTemplateData{ImageId: &image, InstanceType: ec2types.InstanceTypeT3Small}
	if snapshot != "" {
		data.BlockDeviceMappings = []ec2types.LaunchTemplateBlockDeviceMappingRequest{{
			DeviceName: sdk.String("/dev/sdf"), Ebs: &ec2types.LaunchTemplateEbsBlockDeviceRequest{SnapshotId: &snapshot},
		}}
	}
	return data
}

func TestFinished(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ours := []ec2types.Tag{{Key: sdk.String(owner.TagManifest), Value: sdk.String("sha256:1")}}
		root, volume, pending := l.snapshot(ours...), l.snapshot(ours...), l.snapshot()
		image, theirs := l.imageOf("ours", root, ours...), l.imageOf("theirs", volume)
		found, err := l.Baked().Finished(l.t.Context())
		l.must(err)
		within := map[string][]string{}
		for _, r := range found {
			within[r.ID] = r.Within
			if r.Tags[owner.TagManifest] != "sha256:1" || r.Created.IsZero() {
				l.t.Errorf("%+v", r)
			}
		}
		if diff := cmp.Diff(map[string][]string{image: nil, root: {image}, volume: {theirs}}, within); diff != "" {
			l.t.Errorf("beside %s (-want +got):\n%s", pending, diff)
		}
	})
}

func TestReferences(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		images := map[string]string{}
		for _, name := range []string{"saved", "override", "next", "latest", "default", "parameter", "configured", "instance", "needed", "nobody"} {
			images[name] = l.imageOf(name, l.snapshot())
		}
		disk, run := l.snapshot(), l.snapshot()
		_, err := l.SSM().PutParameter(ctx, &ssm.PutParameterInput{Name: sdk.String("/images/web"), Value: sdk.String(images["parameter"]), Type: ssmtypes.ParameterTypeString})
		l.must(err)
		l.template("web", launching("resolve:ssm:/images/web", ""))
		l.template("gone", launching("resolve:ssm:/images/none", ""))
		shop := l.template("shop", launching(images["default"], ""))
		version := func(data *ec2types.RequestLaunchTemplateData) *string {
			out, err := l.EC2().CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: &shop.ID, LaunchTemplateData: data})
			l.must(err)
			return sdk.String(strconv.FormatInt(*out.LaunchTemplateVersion.VersionNumber, 10))
		}
		saved, next := version(launching(images["saved"], disk)), version(launching(images["next"], ""))
		needed := version(launching(images["needed"], run))
		version(launching(images["nobody"], "")) // named by no list, and not the latest
		version(launching(images["latest"], ""))
		other := l.template("other", launching(images["override"], ""))
		_, err = l.EC2().CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: &other.ID, LaunchTemplateData: launching("ami-0123456789abcdef0", "")})
		l.must(err)
		_, err = l.EC2().ModifyLaunchTemplate(ctx, &ec2.ModifyLaunchTemplateInput{LaunchTemplateId: &other.ID, DefaultVersion: sdk.String("2")})
		l.must(err)
		spec := func(id, v *string) *astypes.LaunchTemplateSpecification {
			return &astypes.LaunchTemplateSpecification{LaunchTemplateId: id, Version: v}
		}
		l.group(&autoscaling.CreateAutoScalingGroupInput{MixedInstancesPolicy: &astypes.MixedInstancesPolicy{LaunchTemplate: &astypes.LaunchTemplate{
			LaunchTemplateSpecification: spec(&shop.ID, saved),
			Overrides:                   []astypes.LaunchTemplateOverrides{{InstanceType: sdk.String("t3.small")}, {InstanceType: sdk.String("t3.large"), LaunchTemplateSpecification: spec(&other.ID, sdk.String("1"))}},
		}}})
		_, err = l.AutoScaling().CreateLaunchConfiguration(ctx, &autoscaling.CreateLaunchConfigurationInput{
			LaunchConfigurationName: sdk.String("old"), ImageId: sdk.String(images["configured"]), InstanceType: sdk.String("t3.small"),
		})
		l.must(err)
		_, err = l.EC2().RunInstances(ctx, &ec2.RunInstancesInput{ImageId: sdk.String(images["instance"]), MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1)})
		l.must(err)
		_, err = l.AutoScaling().StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{
			AutoScalingGroupName: sdk.String("shop"), DesiredConfiguration: &astypes.DesiredConfiguration{LaunchTemplate: spec(&shop.ID, next)},
		})
		l.must(err)
		references, err := l.Baked().References(ctx, []inventory.Root{{Why: "v1", Templates: []inventory.Template{{ID: shop.ID, Version: *needed}, {ID: "lt-0123456789abcdef0", Version: "1"}}}})
		l.must(err)
		l.named(references, map[string]string{
			images["saved"]: "template version " + shop.ID + ":" + *saved + ` of group "shop"`, disk: "template version " + shop.ID + ":" + *saved + ` of group "shop"`,
			images["override"]: "template version " + other.ID + `:1 of group "shop"`, images["next"]: "template version " + shop.ID + ":" + *next + ` of the refresh of group "shop"`,
			images["latest"]: "the latest version of template shop, 6,", images["default"]: "the default version of template shop, 1,",
			images["parameter"]: "the default version of template web, 1,", images["configured"]: "launch configuration old", images["instance"]: "instance i-",
			images["needed"]: "v1: its template version " + shop.ID + ":" + *needed, run: "v1: its template version " + shop.ID + ":" + *needed,
			images["nobody"]: "",
		})
	})
}

// named wants each image and snapshot to be referred to so, or by nobody.
func (l local) named(references []inventory.Reference, want map[string]string) {
	l.t.Helper()
	for id, by := range want {
		i := slices.IndexFunc(references, func(r inventory.Reference) bool { return r.ID == id })
		switch {
		case by == "" && i >= 0:
			l.t.Errorf("%s refers to %s", references[i].By, id)
		case by != "" && !slices.ContainsFunc(references, func(r inventory.Reference) bool { return r.ID == id && (r.By == by || by == "instance i-") }):
			l.t.Errorf("%q does not refer to %s: %+v", by, id, references)
		}
	}
}

func TestShared(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		snapshot := l.snapshot()
		things := []inventory.Resource{{Kind: inventory.Image, ID: l.imageOf("ours", snapshot)}, {Kind: inventory.Snapshot, ID: snapshot}}
		for _, r := range things {
			if with, err := l.Baked().Shared(ctx, r); err != nil || with != "" {
				l.t.Errorf("%s is shared with %q, %v", r.Kind, with, err)
			}
		}
		_, err := l.EC2().ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: &things[0].ID, OperationType: ec2types.OperationTypeAdd, UserIds: []string{"210987654321"}})
		l.must(err)
		_, err = l.EC2().ModifySnapshotAttribute(ctx, &ec2.ModifySnapshotAttributeInput{
			SnapshotId: &snapshot, Attribute: ec2types.SnapshotAttributeNameCreateVolumePermission, OperationType: ec2types.OperationTypeAdd, UserIds: []string{"210987654321"},
		})
		l.must(err)
		for _, r := range things {
			if with, err := l.Baked().Shared(ctx, r); err != nil || with != "210987654321" {
				l.t.Errorf("%s is shared with %q, %v", r.Kind, with, err)
			}
		}
	})
}
