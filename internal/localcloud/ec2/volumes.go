package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// volume is a disk. Until somebody needs it as a file its content is a list of
// the blocks.Store under its own identifier. A root volume never becomes a
// file: its list is what the image put on the machine's disk, and afterwards
// the Runner has it.
type volume struct {
	ID, Zone, Snapshot string
	Size               int32 // GiB
	Kind               types.VolumeType
	Iops, Throughput   int32
	Rate               int32 // of its initialization, 0 for none
	Encrypted          bool
	Key                string
	Created            time.Time

	Instance, Device string // "" while it is free
	Attached         time.Time
	Root, Temporary  bool // Temporary goes with its instance
}

// Disk is a volume besides the root as a Runner sees it.
type Disk struct {
	Volume string // its identifier
	Device string // as the mapping names it, such as /dev/sdf
	Path   string // of the file that is its content
}

// volume finds one; it needs the mutex.
func (s *Service) volume(id string) (*volume, error) {
	if !isID("vol", id) {
		return nil, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter volumeId is invalid. Expected: 'vol-...'.", id)
	}
	for _, v := range s.state.Volumes {
		if v.ID == id && s.visible(v.Created) {
			return v, nil
		}
	}
	return nil, wire.Errorf("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
}

// volumesOf are an instance's; it needs the mutex.
func (s *Service) volumesOf(instance string) []*volume {
	var found []*volume
	for _, v := range s.state.Volumes {
		if v.Instance == instance {
			found = append(found, v)
		}
	}
	return found
}

// addVolume makes a volume, from its snapshot if it names one. It needs the
// mutex.
func (s *Service) addVolume(v volume, tags map[string]string) (*volume, error) {
	v.ID, v.Created = newID("vol"), time.Now().UTC()
	v.Kind = cmp.Or(v.Kind, types.VolumeTypeGp3)
	if v.Kind == types.VolumeTypeGp3 {
		v.Iops, v.Throughput = cmp.Or(v.Iops, 3000), cmp.Or(v.Throughput, 125)
	}
	if v.Snapshot != "" && !isSeeded(v.Snapshot) {
		if err := s.options.Blocks.Create(v.ID, v.Snapshot); err != nil {
			return nil, err
		}
	}
	s.state.Volumes = append(s.state.Volumes, &v)
	s.addTags(v.ID, tags)
	return &v, nil
}

func (s *Service) volumeFile(id string) string { return filepath.Join(s.options.VolumeDir, id) }

// disk makes a volume's file. The mutex must not be held.
func (s *Service) disk(v volume) (Disk, error) {
	d := Disk{Volume: v.ID, Device: v.Device, Path: s.volumeFile(v.ID)}
	if _, err := os.Stat(d.Path); err == nil {
		return d, nil
	}
	if err := os.MkdirAll(s.options.VolumeDir, 0o700); err != nil {
		return d, err
	}
	file, err := os.CreateTemp(s.options.VolumeDir, "new-*")
	if err != nil {
		return d, err
	}
	err = file.Truncate(int64(v.Size) << 30)
	if err == nil {
		err = s.options.Blocks.Restore(v.ID, file)
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), d.Path)
	}
	if err != nil {
		return d, errors.Join(fmt.Errorf("making volume %q: %w", v.ID, err), os.Remove(file.Name()))
	}
	return d, s.options.Blocks.Delete(v.ID)
}

// contentOf is what puts a volume's content into a snapshot; it needs the
// mutex, what it returns must be called without.
func (s *Service) contentOf(v *volume) func(ctx context.Context, snapshot string) error {
	imager, able := s.options.Runner.(Imager)
	if i := s.known(v.Instance); v.Root && i != nil && able && s.options.Dir != "" {
		spec := s.specOf(i)
		return func(ctx context.Context, snapshot string) error { return s.capture(ctx, imager, spec, snapshot) }
	}
	id, path := v.ID, s.volumeFile(v.ID)
	return func(_ context.Context, snapshot string) error {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) || s.options.VolumeDir == "" {
			return s.options.Blocks.Create(snapshot, s.listed(id))
		}
		if err != nil {
			return err
		}
		defer file.Close()
		if err := s.options.Blocks.Create(snapshot, ""); err != nil {
			return err
		}
		return s.options.Blocks.FillFile(snapshot, file)
	}
}

// listed is the id, or "" when the blocks.Store has nothing under it.
func (s *Service) listed(id string) string {
	if s.options.Blocks.List(id) == nil {
		return ""
	}
	return id
}

func (s *Service) createVolume(ctx context.Context, in *ec2.CreateVolumeInput) (*ec2.CreateVolumeOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeVolume)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.remembered("CreateVolume", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	var v *volume
	if made != nil {
		v, err = s.volume(made[0])
	} else {
		v, err = s.newVolume(ctx, in, tags)
	}
	if err != nil {
		return nil, err
	}
	s.remember("CreateVolume", in.ClientToken, in, v.ID)
	s.options.Changed()
	out := &ec2.CreateVolumeOutput{}
	overwriteWith(out, s.describeVolume(v))
	return out, nil
}

// newVolume needs the mutex.
func (s *Service) newVolume(_ context.Context, in *ec2.CreateVolumeInput, tags map[string]string) (*volume, error) {
	zone, _, err := s.place(aws.ToString(in.AvailabilityZone), "")
	if err != nil || in.AvailabilityZone == nil {
		return nil, wire.Errorf("InvalidZone.NotFound", "The zone '%s' does not exist.", aws.ToString(in.AvailabilityZone))
	}
	v, err := s.volumeFrom(types.LaunchTemplateEbsBlockDevice{
		SnapshotId: in.SnapshotId, VolumeSize: in.Size, VolumeType: in.VolumeType, Encrypted: in.Encrypted, KmsKeyId: in.KmsKeyId,
		Iops: in.Iops, Throughput: in.Throughput, VolumeInitializationRate: in.VolumeInitializationRate,
	})
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	v.Zone = zone
	return s.addVolume(v, tags)
}

// volumeFrom checks what a mapping or a call asks for; it needs the mutex.
func (s *Service) volumeFrom(ebs types.LaunchTemplateEbsBlockDevice) (volume, error) {
	v := volume{
		Snapshot: aws.ToString(ebs.SnapshotId), Size: aws.ToInt32(ebs.VolumeSize), Kind: ebs.VolumeType,
		Iops: aws.ToInt32(ebs.Iops), Throughput: aws.ToInt32(ebs.Throughput), Rate: aws.ToInt32(ebs.VolumeInitializationRate),
	}
	var source *snapshot
	if v.Snapshot != "" && !isSeeded(v.Snapshot) {
		var err error
		if source, err = s.completed(s.options.Region, v.Snapshot); err != nil {
			return v, err
		}
		if v.Size != 0 && v.Size < source.Size {
			return v, wire.Errorf("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot '%s', expect size >= %dGB", v.Size, source.ID, source.Size)
		}
		v.Size = cmp.Or(v.Size, source.Size)
	}
	if v.Rate != 0 && (v.Rate < 100 || v.Rate > 300 || v.Snapshot == "") {
		return v, wire.Errorf("InvalidParameterValue", "VolumeInitializationRate %d must be between 100 and 300 MiB/s, for a volume from a snapshot.", v.Rate)
	}
	if v.Size < 1 || v.Size > 65536 {
		return v, wire.Errorf("InvalidParameterValue", "Volume of %dGiB is too small or too large; it must be of 1 to 65536GiB.", v.Size)
	}
	e := s.encryptionOf(encryption{aws.ToBool(ebs.Encrypted), aws.ToString(ebs.KmsKeyId)}, source, s.options.Region)
	v.Encrypted, v.Key = e.on, e.key
	return v, nil
}

func (s *Service) deleteVolume(_ context.Context, in *ec2.DeleteVolumeInput) (*ec2.DeleteVolumeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.volume(aws.ToString(in.VolumeId))
	if err != nil {
		return nil, err
	}
	if v.Instance != "" {
		return nil, wire.Errorf("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.Instance)
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.dropVolume(v)
	s.options.Changed()
	return &ec2.DeleteVolumeOutput{}, nil
}

// dropVolume needs the mutex.
func (s *Service) dropVolume(v *volume) {
	s.state.Volumes = slices.DeleteFunc(s.state.Volumes, func(other *volume) bool { return other == v })
	delete(s.state.Tags, v.ID)
	err := s.options.Blocks.Delete(v.ID)
	if s.options.VolumeDir != "" {
		if gone := os.Remove(s.volumeFile(v.ID)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		s.options.Log.Error("removing a volume", "volume", v.ID, "error", err)
	}
}

func (s *Service) describeVolumes(_ context.Context, in *ec2.DescribeVolumesInput) (*ec2.DescribeVolumesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range in.VolumeIds {
		if _, err := s.volume(id); err != nil {
			return nil, err
		}
	}
	var all []types.Volume
	for _, v := range s.state.Volumes {
		if (len(in.VolumeIds) == 0 || slices.Contains(in.VolumeIds, v.ID)) && s.visible(v.Created) {
			all = append(all, s.describeVolume(v))
		}
	}
	all, err := selected(all, in.Filters, s.volumeAttributes)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeVolumesOutput{}
	out.Volumes, out.NextToken, err = page(all, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}

func (s *Service) describeVolume(v *volume) types.Volume {
	described := types.Volume{
		VolumeId: aws.String(v.ID), AvailabilityZone: aws.String(v.Zone), CreateTime: aws.Time(v.Created), Size: aws.Int32(v.Size),
		SnapshotId: aws.String(v.Snapshot), State: types.VolumeStateAvailable, VolumeType: v.Kind, Encrypted: aws.Bool(v.Encrypted),
		KmsKeyId: optional(v.Key), MultiAttachEnabled: aws.Bool(false), Tags: s.tagsOf(v.ID),
	}
	if v.Iops > 0 {
		described.Iops = aws.Int32(v.Iops)
	}
	if v.Throughput > 0 {
		described.Throughput = aws.Int32(v.Throughput)
	}
	if v.Rate > 0 {
		described.VolumeInitializationRate = aws.Int32(v.Rate)
	}
	if v.Instance != "" {
		described.State = types.VolumeStateInUse
		described.Attachments = []types.VolumeAttachment{describeAttachment(v)}
	}
	return described
}

func describeAttachment(v *volume) types.VolumeAttachment {
	return types.VolumeAttachment{
		VolumeId: aws.String(v.ID), InstanceId: aws.String(v.Instance), Device: aws.String(v.Device), AttachTime: aws.Time(v.Attached),
		State: types.VolumeAttachmentStateAttached, DeleteOnTermination: aws.Bool(v.Temporary),
	}
}

func (s *Service) volumeAttributes(v types.Volume) attributes {
	a := attributes{
		"volume-id": {*v.VolumeId}, "availability-zone": {*v.AvailabilityZone}, "size": {strconv.Itoa(int(*v.Size))},
		"snapshot-id": {*v.SnapshotId}, "status": {string(v.State)}, "volume-type": {string(v.VolumeType)},
		"encrypted": {strconv.FormatBool(*v.Encrypted)}, "create-time": {v.CreateTime.Format(timeLayout)},
		"attachment.instance-id": nil, "attachment.device": nil, "attachment.status": nil, "attachment.delete-on-termination": nil,
	}
	for _, one := range v.Attachments {
		a["attachment.instance-id"] = []string{*one.InstanceId}
		a["attachment.device"] = []string{*one.Device}
		a["attachment.status"] = []string{string(one.State)}
		a["attachment.delete-on-termination"] = []string{strconv.FormatBool(*one.DeleteOnTermination)}
	}
	return a.withTags(s.state.Tags[*v.VolumeId])
}
