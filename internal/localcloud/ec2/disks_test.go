package ec2

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
)

// imaging is a fleet whose machines have disks that can be read.
type imaging struct{ *fleet }

func (imaging) Capture(_ context.Context, m Machine, into io.Writer) error {
	_, err := io.WriteString(into, "disk of "+m.ID)
	return err
}

// onDisk gives the service directories of its own.
func onDisk(t *testing.T, dir string) func(*Options) {
	return func(o *Options) {
		store, err := blocks.New(filepath.Join(dir, "snapshots"))
		if err != nil {
			t.Fatal(err)
		}
		o.Dir, o.VolumeDir, o.Blocks = filepath.Join(dir, "instances"), filepath.Join(dir, "volumes"), store
		o.Runner = imaging{o.Runner.(*fleet)}
	}
}

// written makes a completed snapshot of one block.
func written(t *testing.T, s *Service, letter string) string {
	t.Helper()
	one, err := s.StartDirect(t.Context(), DirectStart{Size: 1, Timeout: time.Hour})
	if err == nil {
		err = s.Blocks().Put(one.ID, 3, bytes.Repeat([]byte(letter), blocks.Size))
	}
	if err == nil {
		_, err = s.CompleteDirect(t.Context(), one.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * directTime)
	return one.ID
}

func onlyVolumes(t *testing.T, client *ec2.Client, filter, value string) []types.Volume {
	t.Helper()
	out, err := client.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String(filter), Values: []string{value}}}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Volumes
}

func TestVolumesOfALaunch(t *testing.T) {
	dir := t.TempDir()
	cloud(t, onDisk(t, dir), func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		release := written(t, s, "r")
		i, err := launch(t, client, func(in *ec2.RunInstancesInput) {
			in.BlockDeviceMappings = []types.BlockDeviceMapping{
				{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(20)}},
				{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{SnapshotId: &release, DeleteOnTermination: aws.Bool(true), VolumeInitializationRate: aws.Int32(300)}},
				{DeviceName: aws.String("/dev/sdg"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(1)}},
			}
			in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: []types.Tag{{Key: aws.String("run"), Value: aws.String("7")}}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		disks := f.of(*i.InstanceId).machine.Disks
		if len(disks) != 2 || disks[0].Device != "/dev/sdf" || disks[1].Device != "/dev/sdg" {
			t.Fatalf("the machine has disks %+v", disks)
		}
		if info, err := os.Stat(disks[0].Path); err != nil || info.Size() != 1<<30 {
			t.Errorf("the volume's file: %v, %v", info, err)
		}
		if got, want := around(t, disks[0].Path, 3*blocks.Size)+around(t, disks[0].Path, 4*blocks.Size), "\x00rr\x00"; got != want {
			t.Errorf("at its ends the only block is %q, want %q", got, want)
		}
		if all := onlyVolumes(t, client, "attachment.instance-id", *i.InstanceId); len(all) != 3 || *all[0].Size != 20 || *all[1].VolumeInitializationRate != 300 {
			t.Errorf("volumes %+v", all)
		}
		if len(onlyVolumes(t, client, "tag:run", "7")) != 3 {
			t.Error("the launch's tags are not on its volumes")
		}
		if _, err := client.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		left := onlyVolumes(t, client, "tag-key", "run")
		if len(left) != 1 || left[0].State != types.VolumeStateAvailable || *left[0].VolumeId != disks[1].Volume {
			t.Errorf("left are %+v, want only the volume that does not go with its instance", left)
		}
		if _, err := client.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: left[0].VolumeId}); err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "volumes")); err != nil || len(entries) != 0 {
			t.Errorf("files left: %v, %v", entries, err)
		}
	})
}

// around is what a file has before and at an offset.
func around(t *testing.T, path string, offset int64) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := make([]byte, 2)
	if _, err := file.ReadAt(found, offset-1); err != nil {
		t.Fatal(err)
	}
	return string(found)
}

func TestLaunchesWithDisksThatCanNotBe(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, _ *fleet, client *ec2.Client) {
		release := written(t, s, "r")
		pending, err := s.StartDirect(t.Context(), DirectStart{Size: 1, Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			mapping types.BlockDeviceMapping
			code    string
		}{
			"unknown snapshot": {types.BlockDeviceMapping{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{SnapshotId: aws.String("snap-00000000")}}, "InvalidSnapshot.NotFound"},
			"pending snapshot": {types.BlockDeviceMapping{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{SnapshotId: &pending.ID}}, "IncorrectState"},
			"other root":       {types.BlockDeviceMapping{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &release}}, "InvalidBlockDeviceMapping"},
			"no device":        {types.BlockDeviceMapping{Ebs: &types.EbsBlockDevice{SnapshotId: &release}}, "InvalidBlockDeviceMapping"},
			"no size":          {types.BlockDeviceMapping{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true)}}, "InvalidParameterValue"},
			"fast":             {types.BlockDeviceMapping{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{SnapshotId: &release, VolumeInitializationRate: aws.Int32(301)}}, "InvalidParameterValue"},
		} {
			_, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.BlockDeviceMappings = []types.BlockDeviceMapping{c.mapping} })
			if got := codeOf(err); got != c.code {
				t.Errorf("%s: got %v, want %s", what, err, c.code)
			}
		}
		if volumes, err := client.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}); err != nil || len(volumes.Volumes) != 0 {
			t.Errorf("volumes of launches that failed: %+v, %v", volumes.Volumes, err)
		}
	})
}

func TestAttachAndDetach(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, _ *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		made, err := client.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: i.Placement.AvailabilityZone, SnapshotId: aws.String(written(t, s, "v"))})
		if err != nil {
			t.Fatal(err)
		}
		attach := &ec2.AttachVolumeInput{VolumeId: made.VolumeId, InstanceId: i.InstanceId, Device: aws.String("/dev/sdh")}
		if _, err := client.AttachVolume(t.Context(), attach); err != nil {
			t.Fatal(err)
		}
		_, err = client.AttachVolume(t.Context(), attach)
		wantCode(t, err, "VolumeInUse")
		_, err = client.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: made.VolumeId})
		wantCode(t, err, "VolumeInUse")
		out, err := client.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: made.VolumeId})
		if err != nil || *out.InstanceId != *i.InstanceId {
			t.Errorf("detached %+v, %v", out, err)
		}
		_, err = client.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: made.VolumeId})
		wantCode(t, err, "IncorrectState")
		root := onlyVolumes(t, client, "attachment.instance-id", *i.InstanceId)[0]
		_, err = client.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: root.VolumeId})
		wantCode(t, err, "OperationNotPermitted")
		other, err := client.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-central-1c"), Size: aws.Int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: other.VolumeId, InstanceId: i.InstanceId, Device: aws.String("/dev/sdi")})
		wantCode(t, err, "InvalidVolume.ZoneMismatch")
	})
}

func TestImageOfAnInstance(t *testing.T) {
	cloud(t, onDisk(t, t.TempDir()), func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		made, err := client.CreateImage(t.Context(), &ec2.CreateImageInput{
			InstanceId: i.InstanceId, Name: aws.String("shop v42"), TagSpecifications: []types.TagSpecification{
				{ResourceType: types.ResourceTypeImage, Tags: []types.Tag{{Key: aws.String("v"), Value: aws.String("42")}}},
				{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{{Key: aws.String("v"), Value: aws.String("42")}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		first := f.of(*i.InstanceId)
		synctest.Wait()
		if first.stops != 1 || f.of(*i.InstanceId) == first {
			t.Errorf("the instance was stopped %d times, and must have been started again", first.stops)
		}
		described, err := client.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{*made.ImageId}})
		if err != nil {
			t.Fatal(err)
		}
		image := described.Images[0]
		if image.State != types.ImageStateAvailable || *image.RootDeviceName != "/dev/xvda" || len(image.BlockDeviceMappings) != 1 || *image.Tags[0].Value != "42" {
			t.Errorf("image %+v", image)
		}
		snapshot := image.BlockDeviceMappings[0].Ebs.SnapshotId
		_, err = client.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: snapshot})
		wantCode(t, err, "InvalidSnapshot.InUse")
		_, err = client.CreateImage(t.Context(), &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("shop v42")})
		wantCode(t, err, "InvalidAMIName.Duplicate")
		child, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = made.ImageId })
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		root, err := io.ReadAll(f.of(*child.InstanceId).machine.Root)
		if want := "disk of " + *i.InstanceId; err != nil || string(bytes.TrimRight(root, "\x00")) != want {
			t.Errorf("the new instance's disk has %q, want %q; %v", bytes.TrimRight(root, "\x00"), want, err)
		}
		gone, err := client.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: made.ImageId, DeleteAssociatedSnapshots: aws.Bool(true)})
		if err != nil || gone.DeleteSnapshotResults[0].ReturnCode != types.SnapshotReturnCodesSuccess {
			t.Errorf("deregistered %+v, %v", gone, err)
		}
		_, err = client.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*snapshot}})
		wantCode(t, err, "InvalidSnapshot.NotFound")
	})
}

func TestCopies(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, _ *fleet, client *ec2.Client) {
		snapshot := written(t, s, "r")
		registered, err := client.RegisterImage(t.Context(), &ec2.RegisterImageInput{
			Name: aws.String("base"), RootDeviceName: aws.String("/dev/xvda"), Architecture: types.ArchitectureValuesX8664, VirtualizationType: aws.String("hvm"),
			BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: &snapshot}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.SetSlow(time.Minute)
		made, err := client.CopyImage(t.Context(), &ec2.CopyImageInput{
			Name: aws.String("copy"), SourceImageId: registered.ImageId, SourceRegion: aws.String("eu-central-1"), Encrypted: aws.Bool(true),
		})
		if err != nil {
			t.Fatal(err)
		}
		state := func() types.Image {
			out, err := client.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{*made.ImageId}})
			if err != nil {
				t.Fatal(err)
			}
			return out.Images[0]
		}
		if got := state().State; got != types.ImageStatePending {
			t.Errorf("a slow copy is %s", got)
		}
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = made.ImageId })
		wantCode(t, err, "InvalidAMIID.Unavailable")
		time.Sleep(2 * time.Minute)
		copied := state()
		if copied.State != types.ImageStateAvailable || !*copied.BlockDeviceMappings[0].Ebs.Encrypted || *copied.SourceImageId != *registered.ImageId {
			t.Errorf("the copy is %+v", copied)
		}
		if list := s.Blocks().List(*copied.BlockDeviceMappings[0].Ebs.SnapshotId); len(list) != 1 || list[0].Index != 3 {
			t.Errorf("the copy holds %v", list)
		}
		_, err = client.ModifySnapshotAttribute(t.Context(), &ec2.ModifySnapshotAttributeInput{
			SnapshotId: copied.BlockDeviceMappings[0].Ebs.SnapshotId, UserIds: []string{"210987654321"}, OperationType: types.OperationTypeAdd,
		})
		wantCode(t, err, "OperationNotPermitted")
		_, err = client.CopyImage(t.Context(), &ec2.CopyImageInput{Name: aws.String("theirs"), SourceImageId: aws.String(DefaultImage), SourceRegion: aws.String("eu-central-1")})
		wantCode(t, err, "InvalidRequest")
		_, err = client.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceSnapshotId: aws.String("snap-00000000"), SourceRegion: aws.String("eu-central-1")})
		wantCode(t, err, "InvalidSnapshot.NotFound")
	})
}

func TestSharingAndDeprecation(t *testing.T) {
	cloud(t, nil, func(t *testing.T, _ *Service, _ *fleet, client *ec2.Client) {
		made, err := client.RegisterImage(t.Context(), &ec2.RegisterImageInput{Name: aws.String("shared")})
		if err != nil {
			t.Fatal(err)
		}
		permission := func(add bool) {
			change := &types.LaunchPermissionModifications{Remove: []types.LaunchPermission{{UserId: aws.String("210987654321")}}}
			if add {
				change = &types.LaunchPermissionModifications{Add: []types.LaunchPermission{{UserId: aws.String("210987654321")}, {UserId: aws.String("111111111111")}}}
			}
			if _, err := client.ModifyImageAttribute(t.Context(), &ec2.ModifyImageAttributeInput{ImageId: made.ImageId, LaunchPermission: change}); err != nil {
				t.Fatal(err)
			}
		}
		permission(true)
		permission(false)
		shared, err := client.DescribeImageAttribute(t.Context(), &ec2.DescribeImageAttributeInput{ImageId: made.ImageId, Attribute: types.ImageAttributeNameLaunchPermission})
		if err != nil || len(shared.LaunchPermissions) != 1 || *shared.LaunchPermissions[0].UserId != "111111111111" {
			t.Errorf("shared with %+v, %v", shared, err)
		}
		_, err = client.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: made.ImageId, DeprecateAt: aws.Time(time.Now().Add(-time.Hour))})
		wantCode(t, err, "InvalidParameterValue")
		at := time.Now().Add(25 * time.Hour)
		if _, err := client.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: made.ImageId, DeprecateAt: &at}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.EnableImageDeregistrationProtection(t.Context(), &ec2.EnableImageDeregistrationProtectionInput{ImageId: made.ImageId}); err != nil {
			t.Fatal(err)
		}
		_, err = client.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: made.ImageId})
		wantCode(t, err, "OperationNotPermitted")
		out, err := client.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}})
		if err != nil || *out.Images[0].DeprecationTime != at.UTC().Round(time.Minute).Format(timeLayout) {
			t.Errorf("%+v, %v", out.Images, err)
		}
	})
}

func TestDisksSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var saved []byte
	var snapshot string
	cloud(t, onDisk(t, dir), func(t *testing.T, s *Service, _ *fleet, client *ec2.Client) {
		snapshot = written(t, s, "r")
		if _, err := client.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-central-1a"), SnapshotId: &snapshot}); err != nil {
			t.Fatal(err)
		}
		var err error
		if saved, err = s.Snapshot(); err != nil {
			t.Fatal(err)
		}
	})
	cloud(t, onDisk(t, dir), func(t *testing.T, s *Service, _ *fleet, client *ec2.Client) {
		if err := s.Restore(saved); err != nil {
			t.Fatal(err)
		}
		all := onlyVolumes(t, client, "snapshot-id", snapshot)
		if len(all) != 1 || len(s.Blocks().List(*all[0].VolumeId)) != 1 || len(s.Blocks().List(snapshot)) != 1 {
			t.Errorf("after a restart: %+v", all)
		}
		again, err := client.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: all[0].VolumeId})
		if err != nil || again.State != types.SnapshotStatePending {
			t.Fatalf("snapshot %+v, %v", again, err)
		}
		synctest.Wait()
		out, err := client.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*again.SnapshotId}})
		if err != nil || out.Snapshots[0].State != types.SnapshotStateCompleted || *out.Snapshots[0].FullSnapshotSizeInBytes != blocks.Size {
			t.Errorf("snapshot of the volume: %+v, %v", out, err)
		}
	})
}
