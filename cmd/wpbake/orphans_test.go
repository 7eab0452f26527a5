package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wpbake/wpbake/internal/owner"
)

// scriptOrphans makes what an unfinished bake has in an account, and an upload:
// orphans RUN expired|open|gone|foreign. The bake's time is over, or is not, or
// its process is gone, or it is not wpbake's.
func scriptOrphans(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || !slices.Contains([]string{"expired", "open", "gone", "foreign"}, args[1]) {
		ts.Fatalf("usage: orphans RUN expired|open|gone|foreign")
	}
	name, a := args[0], testAWS(ts)
	mark := owner.Tags{Version: "v1", Run: name, Expires: time.Now().Add(time.Hour)}
	switch args[1] {
	case "expired":
		mark.Expires = time.Now().Add(-time.Hour)
	case "gone":
		mark.Holder = owner.Self(os.LookupEnv)
		ended := exec.Command("/bin/true")
		ts.Check(ended.Run())
		mark.Holder.PID = ended.Process.Pid
	}
	tags := mark.Map()
	if args[1] == "foreign" {
		tags = map[string]string{"Name": name}
	}
	spec := func(kind ec2types.ResourceType) ec2types.TagSpecification {
		one := ec2types.TagSpecification{ResourceType: kind}
		for key, value := range tags {
			one.Tags = append(one.Tags, ec2types.Tag{Key: &key, Value: &value})
		}
		return one
	}
	_, err := a.ec2.CreateKeyPair(a.ctx, &ec2.CreateKeyPairInput{KeyName: &name, TagSpecifications: []ec2types.TagSpecification{spec(ec2types.ResourceTypeKeyPair)}})
	ts.Check(err)
	group, err := a.ec2.CreateSecurityGroup(a.ctx, &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: &name, TagSpecifications: []ec2types.TagSpecification{spec(ec2types.ResourceTypeSecurityGroup)},
	})
	ts.Check(err)
	_, err = a.ec2.RunInstances(a.ctx, &ec2.RunInstancesInput{
		ImageId: aws.String("ami-0123456789abcdef0"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), KeyName: &name, SecurityGroupIds: []string{*group.GroupId},
		TagSpecifications: []ec2types.TagSpecification{spec(ec2types.ResourceTypeInstance), spec(ec2types.ResourceTypeVolume)},
	})
	ts.Check(err)
	a.pendingSnapshot(tags)
	_, err = a.s3.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("releases"), Key: aws.String("shop/releases/" + name + "/wordpress.tar.zst")})
	ts.Check(err)
}

func (a clients) pendingSnapshot(tags map[string]string) {
	client := ebs.New(ebs.Options{
		Region: a.ts.Getenv("AWS_REGION"), BaseEndpoint: aws.String(a.ts.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(a.ts.Getenv("AWS_ACCESS_KEY_ID"), a.ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	started := &ebs.StartSnapshotInput{VolumeSize: aws.Int64(1)}
	for key, value := range tags {
		started.Tags = append(started.Tags, ebstypes.Tag{Key: &key, Value: &value})
	}
	_, err := client.StartSnapshot(a.ctx, started)
	a.ts.Check(err)
}

// scriptThings wants exactly these instances, volumes, snapshots, key pairs,
// security groups besides the default one, and uploads in the script's
// account: things N N N N N N
func scriptThings(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 6 {
		ts.Fatalf("usage: things INSTANCES VOLUMES SNAPSHOTS KEYPAIRS GROUPS UPLOADS")
	}
	a := testAWS(ts)
	got := a.count()
	if want := strings.Join(args, " "); got != want {
		ts.Fatalf("instances, volumes, snapshots, key pairs, groups, uploads: %s; want %s", got, want)
	}
}

func (a clients) count() string {
	instances, err := a.ec2.DescribeInstances(a.ctx, &ec2.DescribeInstancesInput{})
	a.ts.Check(err)
	running := 0
	for _, r := range instances.Reservations {
		for _, i := range r.Instances {
			if i.State.Name != ec2types.InstanceStateNameTerminated {
				running++
			}
		}
	}
	volumes, err := a.ec2.DescribeVolumes(a.ctx, &ec2.DescribeVolumesInput{})
	a.ts.Check(err)
	snapshots, err := a.ec2.DescribeSnapshots(a.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	a.ts.Check(err)
	keys, err := a.ec2.DescribeKeyPairs(a.ctx, &ec2.DescribeKeyPairsInput{})
	a.ts.Check(err)
	groups, err := a.ec2.DescribeSecurityGroups(a.ctx, &ec2.DescribeSecurityGroupsInput{})
	a.ts.Check(err)
	uploads, err := a.s3.ListMultipartUploads(a.ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("releases")})
	a.ts.Check(err)
	return fmt.Sprint(running, len(volumes.Volumes), len(snapshots.Snapshots), len(keys.KeyPairs), len(groups.SecurityGroups)-1, len(uploads.Uploads))
}

// scriptNames makes a launch template that names a version's release volume:
// names TEMPLATE VERSION
func scriptNames(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: names TEMPLATE VERSION")
	}
	a := testAWS(ts)
	out, err := a.ec2.DescribeSnapshots(a.ctx, &ec2.DescribeSnapshotsInput{Filters: []ec2types.Filter{{Name: aws.String("tag:" + owner.TagVersion), Values: args[1:]}}})
	ts.Check(err)
	if len(out.Snapshots) != 1 {
		ts.Fatalf("%d snapshots of %s", len(out.Snapshots), args[1])
	}
	_, err = a.ec2.CreateLaunchTemplate(a.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &args[0], LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
		ImageId: aws.String("ami-0123456789abcdef0"),
		BlockDeviceMappings: []ec2types.LaunchTemplateBlockDeviceMappingRequest{{
			DeviceName: aws.String("/dev/sdf"), Ebs: &ec2types.LaunchTemplateEbsBlockDeviceRequest{SnapshotId: out.Snapshots[0].SnapshotId},
		}},
	}})
	ts.Check(err)
}
