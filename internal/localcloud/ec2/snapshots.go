package ec2

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
	"github.com/wpbake/wpbake/internal/wire"
)

// snapshot is what EC2 knows of a snapshot; blocks.Store has its content.
type snapshot struct {
	ID, Region, Owner string
	Volume, Parent    string
	Lineage           string // equal for snapshots whose blocks can be compared
	Description       string
	Size              int32 // GiB
	State             types.SnapshotState
	Message           string
	Encrypted         bool
	Key               string // of KMS, "" for none
	Started           time.Time
	Completes         time.Time // zero while nobody knows
	Direct            bool      // made by the EBS direct APIs
	Written           time.Time // Direct: last time that somebody wrote
	Timeout           time.Duration
	Shared            []types.CreateVolumePermission
}

// noVolume is what snapshots that come of no volume say.
const noVolume = "vol-ffffffff"

// settle brings a snapshot to the state that it has by now.
func (s *Service) settle(one *snapshot) {
	switch {
	case one.State != types.SnapshotStatePending:
	case !one.Completes.IsZero() && !time.Now().Before(one.Completes):
		one.State = types.SnapshotStateCompleted
	case one.Direct && one.Completes.IsZero() && time.Since(one.Written) > s.scaled(one.Timeout):
		one.State, one.Message = types.SnapshotStateError, "The snapshot was cancelled: nothing was written for its time-out."
	}
}

// snapshot finds one in a region; it needs the mutex.
func (s *Service) snapshot(region, id string) (*snapshot, error) {
	if !isID("snap", id) {
		return nil, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter snapshotId is invalid. Expected: 'snap-...'.", id)
	}
	for _, one := range s.state.Snapshots {
		if one.ID == id && one.Region == region && s.visible(one.Started) {
			s.settle(one)
			return one, nil
		}
	}
	return nil, wire.Errorf("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
}

// completed finds a snapshot that can be used; it needs the mutex.
func (s *Service) completed(region, id string) (*snapshot, error) {
	one, err := s.snapshot(region, id)
	if err == nil && one.State != types.SnapshotStateCompleted {
		return nil, wire.Errorf("IncorrectState", "Snapshot is in invalid state - %s", one.State)
	}
	return one, err
}

// addSnapshot starts a pending one; it needs the mutex. The content is there
// when the caller sets Completes.
func (s *Service) addSnapshot(one snapshot, tags map[string]string) *snapshot {
	one.ID, one.Owner, one.State = newID("snap"), s.options.Account, types.SnapshotStatePending
	one.Started = time.Now().UTC()
	if one.Lineage == "" {
		one.Lineage = one.ID
	}
	s.state.Snapshots = append(s.state.Snapshots, &one)
	s.addTags(one.ID, tags)
	return &one
}

func (s *Service) createSnapshot(ctx context.Context, in *ec2.CreateSnapshotInput) (*ec2.CreateSnapshotOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	v, err := s.volume(aws.ToString(in.VolumeId))
	if err == nil {
		err = refuseDryRun(in.DryRun)
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	one := s.shoot(ctx, v, shot{description: aws.ToString(in.Description), tags: tags})
	out := &ec2.CreateSnapshotOutput{}
	overwriteWith(out, s.describeSnapshot(one))
	s.mu.Unlock()
	s.options.Changed()
	return out, nil
}

// shot is how a volume's snapshot is taken.
type shot struct {
	description string
	tags        map[string]string
	pause       *pause // nil when nothing needs to be waited for
}

// pause is the time in which an instance stands still for its volumes to be
// read.
type pause struct {
	begins  chan struct{} // closed when it does
	readers sync.WaitGroup
}

// shoot starts a snapshot of a volume and reads its content in the background.
// It needs the mutex.
func (s *Service) shoot(ctx context.Context, v *volume, how shot) *snapshot {
	one := s.addSnapshot(snapshot{
		Region: s.options.Region, Volume: v.ID, Description: how.description, Size: v.Size, Encrypted: v.Encrypted, Key: v.Key,
		Lineage: v.ID,
	}, how.tags)
	content := s.contentOf(v)
	if how.pause != nil {
		how.pause.readers.Add(1)
	}
	s.reading.Go(func() {
		if how.pause != nil {
			defer how.pause.readers.Done()
			<-how.pause.begins
		}
		err := content(context.WithoutCancel(ctx), one.ID)
		s.mu.Lock()
		if err != nil {
			s.options.Log.Error("reading volume for a snapshot", "volume", one.Volume, "snapshot", one.ID, "error", err)
			one.State, one.Message = types.SnapshotStateError, err.Error()
		} else {
			one.Completes = time.Now().UTC().Add(s.slow)
		}
		s.mu.Unlock()
		s.options.Changed()
	})
	return one
}

func (s *Service) copySnapshot(ctx context.Context, in *ec2.CopySnapshotInput) (*ec2.CopySnapshotOutput, error) {
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	source, err := s.completed(aws.ToString(in.SourceRegion), aws.ToString(in.SourceSnapshotId))
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	one, err := s.copyOf(source, s.regionOf(ctx), encryption{aws.ToBool(in.Encrypted), aws.ToString(in.KmsKeyId)})
	if err != nil {
		return nil, err
	}
	one.Description = aws.ToString(in.Description)
	s.addTags(one.ID, tags)
	s.options.Changed()
	return &ec2.CopySnapshotOutput{SnapshotId: &one.ID, Tags: s.tagsOf(one.ID)}, nil
}

// copyOf needs the mutex. What is encrypted stays so.
func (s *Service) copyOf(source *snapshot, region string, e encryption) (*snapshot, error) {
	e = s.encryptionOf(e, source, region)
	one := s.addSnapshot(snapshot{
		Region: region, Volume: noVolume, Description: source.Description, Size: source.Size, Encrypted: e.on, Key: e.key,
	}, nil)
	if err := s.options.Blocks.Create(one.ID, source.ID); err != nil {
		return nil, err
	}
	one.Completes = one.Started.Add(s.slow)
	s.settle(one)
	return one, nil
}

func (s *Service) deleteSnapshot(ctx context.Context, in *ec2.DeleteSnapshotInput) (*ec2.DeleteSnapshotOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.snapshot(s.regionOf(ctx), aws.ToString(in.SnapshotId))
	if err != nil {
		return nil, err
	}
	if user := s.imageWith(one.ID); user != "" {
		return nil, wire.Errorf("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", one.ID, user)
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.forget(one)
	s.options.Changed()
	return &ec2.DeleteSnapshotOutput{}, nil
}

// forget needs the mutex.
func (s *Service) forget(one *snapshot) {
	s.state.Snapshots = slices.DeleteFunc(s.state.Snapshots, func(other *snapshot) bool { return other == one })
	delete(s.state.Tags, one.ID)
	if err := s.options.Blocks.Delete(one.ID); err != nil {
		s.options.Log.Error("removing a snapshot's blocks", "snapshot", one.ID, "error", err)
	}
}

func (s *Service) describeSnapshots(ctx context.Context, in *ec2.DescribeSnapshotsInput) (*ec2.DescribeSnapshotsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	region := s.regionOf(ctx)
	for _, id := range in.SnapshotIds {
		if _, err := s.snapshot(region, id); err != nil {
			return nil, err
		}
	}
	var all []types.Snapshot
	for _, one := range s.state.Snapshots {
		owned := len(in.OwnerIds) == 0 || slices.Contains(in.OwnerIds, one.Owner) || slices.Contains(in.OwnerIds, "self")
		asked := len(in.SnapshotIds) == 0 || slices.Contains(in.SnapshotIds, one.ID)
		if owned && asked && one.Region == region && s.visible(one.Started) {
			s.settle(one)
			all = append(all, s.describeSnapshot(one))
		}
	}
	all, err := selected(all, in.Filters, s.snapshotAttributes)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSnapshotsOutput{}
	out.Snapshots, out.NextToken, err = page(all, in.MaxResults, in.NextToken, limits{5, 1000})
	return out, err
}

func (s *Service) describeSnapshot(one *snapshot) types.Snapshot {
	described := types.Snapshot{
		SnapshotId: aws.String(one.ID), VolumeId: aws.String(one.Volume), OwnerId: aws.String(one.Owner),
		Description: aws.String(one.Description), VolumeSize: aws.Int32(one.Size), StartTime: aws.Time(one.Started),
		State: one.State, Progress: aws.String(""), Encrypted: aws.Bool(one.Encrypted), StorageTier: types.StorageTierStandard,
		StateMessage: optional(one.Message), KmsKeyId: optional(one.Key), Tags: s.tagsOf(one.ID),
	}
	if one.State == types.SnapshotStateCompleted {
		described.Progress, described.CompletionTime = aws.String("100%"), aws.Time(one.Completes)
		described.FullSnapshotSizeInBytes = aws.Int64(int64(len(s.options.Blocks.List(one.ID))) * blocks.Size)
	}
	return described
}

func (s *Service) snapshotAttributes(one types.Snapshot) attributes {
	return attributes{
		"snapshot-id": {*one.SnapshotId}, "volume-id": {*one.VolumeId}, "owner-id": {*one.OwnerId},
		"description": {*one.Description}, "status": {string(one.State)}, "progress": {*one.Progress},
		"volume-size": {strconv.Itoa(int(*one.VolumeSize))}, "encrypted": {strconv.FormatBool(*one.Encrypted)},
		"start-time": {one.StartTime.Format(timeLayout)}, "storage-tier": {string(one.StorageTier)},
	}.withTags(s.state.Tags[*one.SnapshotId])
}

func (s *Service) modifySnapshotAttribute(ctx context.Context, in *ec2.ModifySnapshotAttributeInput) (*ec2.ModifySnapshotAttributeOutput, error) {
	change := permissionChange[types.CreateVolumePermission]{operation: in.OperationType}
	if p := in.CreateVolumePermission; p != nil {
		change.add, change.remove = p.Add, p.Remove
	}
	for _, id := range in.UserIds {
		change.named = append(change.named, types.CreateVolumePermission{UserId: aws.String(id)})
	}
	for _, group := range in.GroupNames {
		change.named = append(change.named, types.CreateVolumePermission{Group: types.PermissionGroup(group)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.snapshot(s.regionOf(ctx), aws.ToString(in.SnapshotId))
	if err != nil {
		return nil, err
	}
	if one.Encrypted && one.Key == s.defaultKey(one.Region) {
		return nil, wire.Errorf("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	one.Shared = change.apply(one.Shared)
	s.options.Changed()
	return &ec2.ModifySnapshotAttributeOutput{}, nil
}

func (s *Service) describeSnapshotAttribute(ctx context.Context, in *ec2.DescribeSnapshotAttributeInput) (*ec2.DescribeSnapshotAttributeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.snapshot(s.regionOf(ctx), aws.ToString(in.SnapshotId))
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSnapshotAttributeOutput{SnapshotId: &one.ID}
	if in.Attribute == types.SnapshotAttributeNameCreateVolumePermission {
		out.CreateVolumePermissions = slices.Clone(one.Shared)
	}
	return out, refuseDryRun(in.DryRun)
}
