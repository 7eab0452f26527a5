package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/wpbake/wpbake/bake/volume"
)

// snapshots finds and copies snapshots, in any region.
type snapshots struct {
	client *ec2.Client
	region string
}

func (s snapshots) Find(ctx context.Context, region string, tags map[string]string) ([]volume.Snapshot, error) {
	var found []volume.Snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(s.client, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: tagged(tags)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, inRegion(region))
		if err != nil {
			return nil, about("snapshots of a release", err)
		}
		for _, one := range page.Snapshots {
			if hasTags(one.Tags, tags) {
				found = append(found, toSnapshot(one))
			}
		}
	}
	slices.SortFunc(found, func(a, b volume.Snapshot) int { return b.Started.Compare(a.Started) })
	return found, nil
}

func toSnapshot(one types.Snapshot) volume.Snapshot {
	return volume.Snapshot{
		ID: sdk.ToString(one.SnapshotId), Size: int64(sdk.ToInt32(one.VolumeSize)), State: volume.State(one.State), Encrypted: sdk.ToBool(one.Encrypted),
		Key: sdk.ToString(one.KmsKeyId), Tags: fromTags(one.Tags), Started: sdk.ToTime(one.StartTime),
	}
}

// State asks by a filter: an id that EC2 does not show yet is no error then.
func (s snapshots) State(ctx context.Context, region, id string) (volume.State, error) {
	out, err := s.client.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{
		Filters: []types.Filter{{Name: sdk.String("snapshot-id"), Values: []string{id}}},
	}, inRegion(region))
	if err != nil {
		return volume.Absent, about(id, err)
	}
	if len(out.Snapshots) == 0 {
		return volume.Absent, nil
	}
	return volume.State(out.Snapshots[0].State), nil
}

func (s snapshots) Copy(ctx context.Context, c volume.Copy) (string, error) {
	in := &ec2.CopySnapshotInput{
		SourceRegion: &s.region, SourceSnapshotId: &c.Snapshot, Description: &c.Description,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: toTags(c.Tags)}},
	}
	if c.Encrypted {
		in.Encrypted = sdk.Bool(true)
	}
	out, err := s.client.CopySnapshot(ctx, in, inRegion(c.To))
	if err != nil {
		return "", about(c.Snapshot, err)
	}
	return sdk.ToString(out.SnapshotId), nil
}

func (s snapshots) Share(ctx context.Context, region, id string, accounts []string) error {
	_, err := s.client.ModifySnapshotAttribute(ctx, &ec2.ModifySnapshotAttributeInput{
		SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission,
		OperationType: types.OperationTypeAdd, UserIds: accounts,
	}, inRegion(region))
	return about(id, err)
}

func toTags(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: sdk.String(key), Value: sdk.String(tags[key])})
	}
	return list
}

// snapshotBlocks writes and reads snapshots by blocks.
type snapshotBlocks struct {
	direct *ebs.Client
	client *ec2.Client
}

// once makes a single attempt: bake/volume knows for how long a block may be
// tried, and that a snapshot may be unknown at first.
func once(o *ebs.Options) { o.Retryer = sdk.NopRetryer{} }

func (w snapshotBlocks) Start(ctx context.Context, s volume.Start) (string, error) {
	in := &ebs.StartSnapshotInput{
		VolumeSize: &s.Size, Description: &s.Description, Timeout: sdk.Int32(pendingMinutes(s.Timeout)),
	}
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		in.Tags = append(in.Tags, ebstypes.Tag{Key: sdk.String(key), Value: sdk.String(s.Tags[key])})
	}
	if s.Parent != "" {
		in.ParentSnapshotId = &s.Parent
	}
	if s.Encrypted {
		in.Encrypted = sdk.Bool(true)
	}
	if s.Key != "" {
		in.KmsKeyArn = &s.Key
	}
	out, err := w.direct.StartSnapshot(ctx, in)
	if err != nil {
		return "", about("a new snapshot", err)
	}
	return sdk.ToString(out.SnapshotId), nil
}

// pendingMinutes is how long EBS waits for another block before it gives a
// snapshot up: it takes 10 to 4320.
func pendingMinutes(d time.Duration) int32 {
	return int32(min(max(d/time.Minute, 10), 4320))
}

func (w snapshotBlocks) Put(ctx context.Context, id string, b volume.Block) error {
	_, err := w.direct.PutSnapshotBlock(ctx, &ebs.PutSnapshotBlockInput{
		SnapshotId: &id, BlockIndex: &b.Index, BlockData: bytes.NewReader(b.Data), DataLength: sdk.Int32(int32(len(b.Data))),
		Checksum: sdk.String(base64.StdEncoding.EncodeToString(b.Sum[:])), ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256,
	}, once)
	return blockError(fmt.Sprintf("%s block %d", id, b.Index), err)
}

func (w snapshotBlocks) Complete(ctx context.Context, id string, c volume.Completion) error {
	_, err := w.direct.CompleteSnapshot(ctx, &ebs.CompleteSnapshotInput{
		SnapshotId: &id, ChangedBlocksCount: sdk.Int32(int32(c.Blocks)),
		Checksum: sdk.String(base64.StdEncoding.EncodeToString(c.Sum[:])), ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256,
		ChecksumAggregationMethod: ebstypes.ChecksumAggregationMethodChecksumAggregationLinear,
	}, once)
	return blockError(id, err)
}

func (w snapshotBlocks) Delete(ctx context.Context, id string) error {
	_, err := w.client.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == "InvalidSnapshot.NotFound" {
		return nil
	}
	return about(id, err)
}

// Read asks for the block's token first: a listing makes one for each block.
func (w snapshotBlocks) Read(ctx context.Context, id string, index int32) ([]byte, error) {
	in := &ebs.ListSnapshotBlocksInput{SnapshotId: &id, StartingBlockIndex: &index, MaxResults: sdk.Int32(leastListed)}
	for {
		listed, err := w.direct.ListSnapshotBlocks(ctx, in)
		if err != nil {
			return nil, about(id, err)
		}
		for _, b := range listed.Blocks {
			switch found := sdk.ToInt32(b.BlockIndex); {
			case found == index:
				return w.get(ctx, id, b)
			case found > index:
				return make([]byte, volume.BlockSize), nil
			}
		}
		if in.NextToken = listed.NextToken; in.NextToken == nil {
			return make([]byte, volume.BlockSize), nil
		}
		in.StartingBlockIndex = nil // it goes with a first page only
	}
}

// leastListed is the smallest page that ListSnapshotBlocks gives.
const leastListed = 100

func (w snapshotBlocks) get(ctx context.Context, id string, b ebstypes.Block) ([]byte, error) {
	what := fmt.Sprintf("%s block %d", id, sdk.ToInt32(b.BlockIndex))
	got, err := w.direct.GetSnapshotBlock(ctx, &ebs.GetSnapshotBlockInput{SnapshotId: &id, BlockIndex: b.BlockIndex, BlockToken: b.BlockToken})
	if err != nil {
		return nil, about(what, err)
	}
	defer got.BlockData.Close()
	data, err := io.ReadAll(io.LimitReader(got.BlockData, volume.BlockSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	sum := sha256.Sum256(data)
	if len(data) != volume.BlockSize || base64.StdEncoding.EncodeToString(sum[:]) != sdk.ToString(got.Checksum) {
		return nil, fmt.Errorf("reading %s: %d bytes that are not as their checksum says", what, len(data))
	}
	return data, nil
}

// blockError says what a call was about, and to bake/volume whether it is worth
// another attempt.
func blockError(what string, err error) error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Code == "ResourceNotFoundException":
		return fmt.Errorf("%w: %w", volume.ErrAbsent, about(what, err))
	case isTransient(err):
		return fmt.Errorf("%w: %w", volume.ErrBusy, about(what, err))
	}
	return about(what, err)
}

// isTransient tells whether an error of the EBS direct APIs may pass: their
// throttling is a 400, and so may what the network or the server did.
func isTransient(err error) bool {
	var e *Error
	if errors.As(err, &e) && slices.Contains([]string{"RequestThrottledException", "ConcurrentLimitExceededException", "ThrottlingException"}, e.Code) {
		return true
	}
	var response *smithyhttp.ResponseError
	return !errors.As(err, &response) || response.HTTPStatusCode() >= http.StatusInternalServerError
}
