package aws_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/owner"
)

// leave makes one thing of each kind, as a bake with these tags would have
// left them, and an unfinished upload.
func (l local) leave(name string, tags map[string]string) {
	l.t.Helper()
	ctx := l.t.Context()
	spec := func(kind ec2types.ResourceType) []ec2types.TagSpecification {
		one := ec2types.TagSpecification{ResourceType: kind}
		for key, value := range tags {
			one.Tags = append(one.Tags, ec2types.Tag{Key: &key, Value: &value})
		}
		return []ec2types.TagSpecification{one}
	}
	_, err := l.EC2().CreateKeyPair(ctx, &ec2.CreateKeyPairInput{KeyName: &name, TagSpecifications: spec(ec2types.ResourceTypeKeyPair)})
	l.must(err)
	group, err := l.EC2().CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: &name, TagSpecifications: spec(ec2types.ResourceTypeSecurityGroup),
	})
	l.must(err)
	_, err = l.EC2().RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: sdk.String("ami-0123456789abcdef0"), MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1), KeyName: &name,
		SecurityGroupIds: []string{*group.GroupId}, TagSpecifications: append(spec(ec2types.ResourceTypeInstance), spec(ec2types.ResourceTypeVolume)...),
	})
	l.must(err)
	_, err = l.EC2().CreateVolume(ctx, &ec2.CreateVolumeInput{
		AvailabilityZone: sdk.String("eu-central-1a"), Size: sdk.Int32(1), TagSpecifications: spec(ec2types.ResourceTypeVolume),
	})
	l.must(err)
	started := &ebs.StartSnapshotInput{VolumeSize: sdk.Int64(1), ClientToken: &name}
	for key, value := range tags {
		started.Tags = append(started.Tags, ebstypes.Tag{Key: &key, Value: &value})
	}
	_, err = ebs.NewFromConfig(awstest.Config(l.t, l.cloud)).StartSnapshot(ctx, started)
	l.must(err)
	_, err = l.S3().CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: sdk.String("releases"), Key: sdk.String(name + "/releases/v1/wordpress.tar.zst")})
	l.must(err)
}

func (l local) bucket() {
	l.t.Helper()
	_, err := l.S3().CreateBucket(l.t.Context(), &s3.CreateBucketInput{Bucket: sdk.String("releases"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
		LocationConstraint: s3types.BucketLocationConstraint(awstest.Region),
	}})
	l.must(err)
}

func kindsOf(found []inventory.Verdict, want func(inventory.Verdict) bool) []string {
	var kinds []string
	for _, v := range found {
		if want(v) {
			kinds = append(kinds, string(v.Kind))
		}
	}
	slices.Sort(kinds)
	return kinds
}

var oneOfEach = []string{"instance", "key pair", "security group", "snapshot", "volume", "volume"}

func TestSweepOfAnAccount(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		l.bucket()
		now := time.Now()
		l.leave("dead", owner.Tags{Version: "v1", Run: "dead", Expires: now.Add(-time.Hour)}.Map())
		l.leave("live", owner.Tags{Version: "v1", Run: "live", Expires: now.Add(time.Hour)}.Map())
		l.leave("foreign", map[string]string{"Name": "foreign", owner.TagExpires: now.Add(-time.Hour).Format(time.RFC3339)})
		s := inventory.Sweep{
			Account: l.Inventory(), Kinds: inventory.Kinds(),
			Judge: inventory.Judge{Now: now, Alive: func(owner.Holder) bool { return true }},
		}
		s.DryRun = true
		removed := func(v inventory.Verdict) bool { return v.Remove }
		kept := func(v inventory.Verdict) bool { return !v.Remove }
		trial := s.Run(l.t.Context())
		if diff := cmp.Diff(oneOfEach, kindsOf(trial.Found, removed)); diff != "" || len(trial.Unseen) > 0 {
			l.t.Fatalf("would remove (-want +got):\n%s%v", diff, trial.Unseen)
		}
		s.DryRun = false
		swept := s.Run(l.t.Context())
		if left := inventory.Left(swept.Found); len(left) > 0 {
			l.t.Fatalf("left %s: %v", left[0].ID, left[0].Err)
		}
		for i, v := range swept.Found {
			if v.ID != trial.Found[i].ID || v.Remove != trial.Found[i].Remove {
				l.t.Errorf("%s was not as foretold", v.ID)
			}
		}
		again := s.Run(l.t.Context())
		if diff := cmp.Diff(oneOfEach, kindsOf(again.Found, kept)); diff != "" || len(again.Found) != len(oneOfEach) {
			l.t.Errorf("afterwards there are (-want +got):\n%s%+v", diff, again.Found)
		}
		l.foreign()
	})
}

// foreign wants what nobody tagged as wpbake's to be as it was.
func (l local) foreign() {
	l.t.Helper()
	ctx := l.t.Context()
	instances, err := l.EC2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{{Name: sdk.String("tag:Name"), Values: []string{"foreign"}}}})
	l.must(err)
	if len(instances.Reservations) != 1 || instances.Reservations[0].Instances[0].State.Name != ec2types.InstanceStateNameRunning {
		l.t.Errorf("the foreign instance: %+v", instances.Reservations)
	}
	_, err = l.EC2().DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{KeyNames: []string{"foreign"}})
	l.must(err)
	elsewhere, err := l.EC2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{}, func(o *ec2.Options) { o.Region = "eu-west-1" })
	l.must(err)
	if len(elsewhere.Reservations) > 0 {
		l.t.Errorf("in another region there are %+v", elsewhere.Reservations)
	}
	snapshots, err := l.EC2().DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{Filters: []ec2types.Filter{{Name: sdk.String("tag:Name"), Values: []string{"foreign"}}}})
	l.must(err)
	if len(snapshots.Snapshots) != 1 {
		l.t.Errorf("the foreign snapshot: %+v", snapshots.Snapshots)
	}
}

func TestSweepOfUploads(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		l.bucket()
		l.leave("shop", nil)
		l.leave("other", nil)
		time.Sleep(2 * time.Hour) // in the bubble
		s := inventory.Sweep{
			Account: l.Uploads("releases", "shop/releases/", ""), Kinds: []inventory.Kind{inventory.Upload},
			Judge: inventory.Judge{Now: time.Now(), Uploads: 3 * time.Hour},
		}
		if young := s.Run(l.t.Context()); len(young.Found) != 1 || young.Found[0].Remove || len(young.Unseen) > 0 {
			l.t.Fatalf("a young upload: %+v", young)
		}
		s.Judge.Uploads = time.Hour
		if old := s.Run(l.t.Context()); len(old.Found) != 1 || !old.Found[0].Remove || old.Found[0].Err != nil {
			l.t.Fatalf("an old upload: %+v", old)
		}
		out, err := l.S3().ListMultipartUploads(l.t.Context(), &s3.ListMultipartUploadsInput{Bucket: sdk.String("releases")})
		l.must(err)
		if len(out.Uploads) != 1 || !strings.HasPrefix(*out.Uploads[0].Key, "other/") {
			l.t.Errorf("uploads left: %+v", out.Uploads)
		}
	})
}

// Images are unfinished in states that EC2's own filter does not know.
func TestUnfinishedImages(t *testing.T) {
	virtual(t, func(t *testing.T) {
		items := ""
		for _, state := range []string{"available", "pending", "failed", "error", "invalid", "transient", "disabled", "deregistered"} {
			items += "<item><imageId>ami-" + state + "</imageId><imageState>" + state + "</imageState><tagSet><item><key>wpbake:run</key><value>r</value></item></tagSet></item>"
		}
		s := newScript(t, map[string][]string{"DescribeImages": {"<DescribeImagesResponse><imagesSet>" + items + "</imagesSet></DescribeImagesResponse>"}})
		found, err := awstest.Clients(t, s).Inventory().Unfinished(t.Context(), inventory.Image)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range found {
			ids = append(ids, r.ID+" "+r.Tags[owner.TagRun])
		}
		if diff := cmp.Diff([]string{"ami-pending r", "ami-failed r", "ami-error r", "ami-invalid r", "ami-transient r"}, ids); diff != "" {
			t.Error(diff)
		}
		if want := "Filter.1.Name=tag-key\nFilter.1.Value.1=wpbake:run\nOwner.1=self\n"; s.sent("DescribeImages") != want {
			t.Errorf("asked with %q", s.sent("DescribeImages"))
		}
	})
}

const gone = "!400 <Response><Errors><Error><Code>%s</Code><Message>gone</Message></Error></Errors></Response>"

// What is gone is removed; what somebody holds is tried again; what is refused
// says so with its name.
func TestRemoving(t *testing.T) {
	failing := func(code string) string { return strings.Replace(gone, "%s", code, 1) }
	virtual(t, func(t *testing.T) {
		s := newScript(t, map[string][]string{
			"TerminateInstances":  {failing("InvalidInstanceID.NotFound")},
			"DescribeInstances":   {instanceAnswer("running"), instanceAnswer("shutting-down"), instanceAnswer("terminated")},
			"DeleteVolume":        {failing("VolumeInUse"), failing("InvalidVolume.NotFound")},
			"DeleteSecurityGroup": {failing("DependencyViolation"), failing("DependencyViolation"), "<DeleteSecurityGroupResponse/>"},
			"DeleteKeyPair":       {failing("UnauthorizedOperation")},
			"DeregisterImage":     {failing("InvalidAMIID.Unavailable")},
			"DeleteSnapshot":      {"<DeleteSnapshotResponse/>"},
		})
		account := awstest.Clients(t, s).Inventory()
		for _, kind := range inventory.Kinds() {
			err := account.Remove(t.Context(), inventory.Resource{Kind: kind, ID: "x-1"})
			if denied := kind == inventory.KeyPair; denied != (err != nil) {
				t.Errorf("removing a %s: %v", kind, err)
			} else if denied && !strings.Contains(err.Error(), `DeleteKeyPair for "x-1": UnauthorizedOperation`) {
				t.Errorf("the refusal reads %q", err)
			}
		}
		if err := account.Ended(t.Context(), "i-1"); err != nil {
			t.Error(err)
		}
		for action, want := range map[string]int{"TerminateInstances": 1, "DescribeInstances": 3, "DeleteVolume": 2, "DeleteSecurityGroup": 3} {
			if got := s.count(action); got != want {
				t.Errorf("%d calls of %s, want %d", got, action, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := account.Ended(ctx, "i-1"); err == nil {
			t.Error("waiting went on without anybody who waits")
		}
	})
}

func instanceAnswer(state string) string {
	return `<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>` +
		`<instanceState><name>` + state + `</name></instanceState></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
}
