// Package ebs is the EBS direct APIs on this machine: snapshots that are
// written and read block by block, without a volume and without an instance.
// It knows these calls, their checksums, tokens and errors; what a snapshot is
// besides, EC2 tells it.
package ebs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

const (
	perGiB         = (1 << 30) / blocks.Size
	defaultTimeout = 60 // minutes
)

// Service is the EBS direct APIs.
type Service struct {
	snapshots *ec2.Service
	tokens    tokens
}

// New makes a service for EC2's snapshots. Tokens are sealed with the secret.
func New(snapshots *ec2.Service, secret string) *Service {
	return &Service{snapshots, tokens{[]byte(secret)}}
}

// Actions are the operations served.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"StartSnapshot":      wire.Handle(s.startSnapshot),
		"PutSnapshotBlock":   wire.Handle(s.putSnapshotBlock),
		"CompleteSnapshot":   wire.Handle(s.completeSnapshot),
		"ListSnapshotBlocks": wire.Handle(s.listSnapshotBlocks),
		"ListChangedBlocks":  wire.Handle(s.listChangedBlocks),
		"GetSnapshotBlock":   wire.Handle(s.getSnapshotBlock),
	}
}

func invalid(reason types.ValidationExceptionReason, format string, args ...any) *wire.Error {
	err := wire.Errorf("ValidationException", format, args...)
	err.Reason = string(reason)
	return err
}

// translated gives EC2's errors the names that they have here.
func translated(err error) error {
	var known *wire.Error
	if !errors.As(err, &known) {
		return err
	}
	switch known.Code {
	case "InvalidSnapshot.NotFound":
		return &wire.Error{
			Code: "ResourceNotFoundException", Message: known.Message, Status: http.StatusNotFound,
			Reason: string(types.ResourceNotFoundExceptionReasonSnapshotNotFound),
		}
	case "IdempotentParameterMismatch":
		return &wire.Error{Code: "ConflictException", Message: known.Message, Status: http.StatusConflict}
	case "PendingSnapshotLimitExceeded":
		return &wire.Error{Code: "ConcurrentLimitExceededException", Message: known.Message, Status: http.StatusBadRequest}
	case "InvalidVolumeSize":
		return invalid(types.ValidationExceptionReasonInvalidVolumeSize, "%s", known.Message)
	}
	return invalid(types.ValidationExceptionReasonInvalidSnapshotId, "%s", known.Message)
}

func (s *Service) startSnapshot(ctx context.Context, in *ebs.StartSnapshotInput) (*ebs.StartSnapshotOutput, error) {
	size, timeout := aws.ToInt64(in.VolumeSize), defaultTimeout
	if in.Timeout != nil {
		timeout = int(*in.Timeout)
	}
	parent := aws.ToString(in.ParentSnapshotId)
	switch {
	case size < 1 || size > 65536:
		return nil, invalid(types.ValidationExceptionReasonInvalidVolumeSize, "The volume size %d is not between 1 and 65536 GiB.", size)
	case timeout < 10 || timeout > 4320:
		return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue, "The timeout %d is not between 10 and 4320 minutes.", timeout)
	case parent != "" && in.Encrypted != nil:
		return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue, "Encrypted and ParentSnapshotId may not be given together.")
	case in.KmsKeyArn != nil && !aws.ToBool(in.Encrypted):
		return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue, "KmsKeyArn needs Encrypted.")
	}
	tags := map[string]string{}
	for _, tag := range in.Tags {
		if aws.ToString(tag.Key) == "" || len(*tag.Key) > 128 || len(aws.ToString(tag.Value)) > 256 {
			return nil, invalid(types.ValidationExceptionReasonInvalidTag, "The tag %q is not valid.", aws.ToString(tag.Key))
		}
		tags[*tag.Key] = aws.ToString(tag.Value)
	}
	one, err := s.snapshots.StartDirect(ctx, ec2.DirectStart{
		Size: int32(size), Parent: parent, Description: aws.ToString(in.Description), ClientToken: aws.ToString(in.ClientToken),
		Encrypted: aws.ToBool(in.Encrypted), Key: aws.ToString(in.KmsKeyArn), Timeout: time.Duration(timeout) * time.Minute, Tags: tags,
	})
	if err != nil {
		return nil, translated(err)
	}
	out := &ebs.StartSnapshotOutput{
		SnapshotId: &one.ID, OwnerId: &one.Owner, Status: statusOf(one), StartTime: &one.Started, VolumeSize: aws.Int64(int64(one.Size)),
		BlockSize: aws.Int32(blocks.Size), Description: in.Description, ParentSnapshotId: in.ParentSnapshotId, SseType: types.SSETypeNone,
	}
	if one.Encrypted {
		out.SseType, out.KmsKeyArn = types.SSETypeSseKms, &one.Key
	}
	for _, key := range slices.Sorted(maps.Keys(one.Tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(key), Value: aws.String(one.Tags[key])})
	}
	return out, nil
}

func statusOf(one ec2.DirectSnapshot) types.Status {
	switch one.State {
	case ec2types.SnapshotStateCompleted:
		return types.StatusCompleted
	case ec2types.SnapshotStateError:
		return types.StatusError
	}
	return types.StatusPending
}

// writable finds a snapshot that is being written.
func (s *Service) writable(ctx context.Context, id *string) (ec2.DirectSnapshot, error) {
	one, err := s.snapshots.Direct(ctx, aws.ToString(id))
	if err != nil {
		return one, translated(err)
	}
	if !one.Writable {
		return one, invalid(types.ValidationExceptionReasonInvalidSnapshotId, "The snapshot %s is not being written: it is %s.", one.ID, one.State)
	}
	return one, nil
}

func (s *Service) putSnapshotBlock(ctx context.Context, in *ebs.PutSnapshotBlockInput) (*ebs.PutSnapshotBlockOutput, error) {
	one, err := s.writable(ctx, in.SnapshotId)
	if err != nil {
		return nil, err
	}
	index := aws.ToInt32(in.BlockIndex)
	if index < 0 || int64(index) >= int64(one.Size)*perGiB {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlock, "The block %d lies outside of a volume of %d GiB.", index, one.Size)
	}
	content, err := io.ReadAll(in.BlockData)
	if err != nil {
		return nil, err
	}
	if len(content) != blocks.Size || aws.ToInt32(in.DataLength) != blocks.Size {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlock, "The block %d has %d bytes of data and says %d; both must be %d.",
			index, len(content), aws.ToInt32(in.DataLength), blocks.Size)
	}
	sum := sha256.Sum256(content)
	checksum := base64.StdEncoding.EncodeToString(sum[:])
	if in.ChecksumAlgorithm != types.ChecksumAlgorithmChecksumAlgorithmSha256 || aws.ToString(in.Checksum) != checksum {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlock, "The checksum of block %d does not match its data.", index)
	}
	if err := s.snapshots.Blocks().Put(one.ID, index, content); err != nil {
		return nil, err
	}
	s.snapshots.WroteDirect(ctx, one.ID)
	return &ebs.PutSnapshotBlockOutput{Checksum: &checksum, ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256}, nil
}

// completeSnapshot counts blocks, not calls: one that was written twice is one.
func (s *Service) completeSnapshot(ctx context.Context, in *ebs.CompleteSnapshotInput) (*ebs.CompleteSnapshotOutput, error) {
	one, err := s.writable(ctx, in.SnapshotId)
	if err != nil {
		return nil, err
	}
	count, sums := int32(0), sha256.New()
	for _, block := range s.snapshots.Blocks().List(one.ID) {
		if block.Own {
			count++
			sums.Write(block.Digest[:])
		}
	}
	if in.ChangedBlocksCount == nil || *in.ChangedBlocksCount != count {
		return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue, "The snapshot has %d changed blocks, not %d.", count, aws.ToInt32(in.ChangedBlocksCount))
	}
	if in.Checksum != nil {
		known := in.ChecksumAlgorithm == types.ChecksumAlgorithmChecksumAlgorithmSha256 && in.ChecksumAggregationMethod == types.ChecksumAggregationMethodChecksumAggregationLinear
		if checksum := base64.StdEncoding.EncodeToString(sums.Sum(nil)); !known || *in.Checksum != checksum {
			return nil, invalid(types.ValidationExceptionReasonInvalidParameterValue, "The checksum does not match that of the snapshot's blocks.")
		}
	}
	if one, err = s.snapshots.CompleteDirect(ctx, one.ID); err != nil {
		return nil, translated(err)
	}
	return &ebs.CompleteSnapshotOutput{Status: statusOf(one)}, nil
}

// readable finds a snapshot that can be read.
func (s *Service) readable(ctx context.Context, id *string) (ec2.DirectSnapshot, error) {
	one, err := s.snapshots.Direct(ctx, aws.ToString(id))
	if err != nil {
		return one, translated(err)
	}
	if one.State != ec2types.SnapshotStateCompleted {
		return one, invalid(types.ValidationExceptionReasonInvalidSnapshotId, "The snapshot %s can not be read: it is %s.", one.ID, one.State)
	}
	return one, nil
}

func (s *Service) getSnapshotBlock(ctx context.Context, in *ebs.GetSnapshotBlockInput) (*ebs.GetSnapshotBlockOutput, error) {
	one, err := s.readable(ctx, in.SnapshotId)
	if err != nil {
		return nil, err
	}
	index := aws.ToInt32(in.BlockIndex)
	if !s.tokens.opens(aws.ToString(in.BlockToken), blockToken(one.ID, index)) {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlockToken, "The block token is not valid for block %d of %s.", index, one.ID)
	}
	content, err := s.snapshots.Blocks().Get(one.ID, index)
	if errors.Is(err, blocks.ErrNotFound) {
		return nil, invalid(types.ValidationExceptionReasonInvalidBlock, "The snapshot %s has no block %d.", one.ID, index)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	return &ebs.GetSnapshotBlockOutput{
		BlockData: io.NopCloser(bytes.NewReader(content)), DataLength: aws.Int32(blocks.Size),
		Checksum: aws.String(base64.StdEncoding.EncodeToString(sum[:])), ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256,
	}, nil
}

func blockToken(snapshot string, index int32) string {
	return "block " + snapshot + " " + strconv.Itoa(int(index))
}
