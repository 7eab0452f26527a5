package ebs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
)

const (
	blockLife = 7 * 24 * time.Hour
	pageLife  = time.Hour
	leastPage = 100
	mostPage  = 10000
)

// tokens are sealed texts with an end. Nothing of them is kept.
type tokens struct{ secret []byte }

func (t tokens) seal(text string, life time.Duration) string {
	end := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(life).Unix()))
	return base64.StdEncoding.EncodeToString(append(end, t.mac(text, end)...))
}

func (t tokens) mac(text string, end []byte) []byte {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write(end)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// opens reports whether a token was sealed for the text and has not ended.
func (t tokens) opens(token, text string) bool {
	data, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(data) != 8+sha256.Size {
		return false
	}
	end := int64(binary.BigEndian.Uint64(data))
	return hmac.Equal(data[8:], t.mac(text, data[:8])) && time.Now().Unix() < end
}

// listing is which part of a list is asked for.
type listing struct {
	of    string // what is listed
	token *string
	size  *int32
	start *int32
}

// pageToken carries the index that the next page starts with in the open.
func (t tokens) pageToken(of string, start int32) string {
	return strconv.Itoa(int(start)) + "." + t.seal("page "+of+" "+strconv.Itoa(int(start)), pageLife)
}

// part cuts a page out of blocks that are in order.
func part[B any](t tokens, l listing, all []B, index func(B) int32) ([]B, *string, error) {
	from := aws.ToInt32(l.start)
	if token := aws.ToString(l.token); token != "" {
		number, sealed, _ := strings.Cut(token, ".")
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || !t.opens(sealed, "page "+l.of+" "+number) {
			return nil, nil, invalid(types.ValidationExceptionReasonInvalidPageToken, "The page token is not valid.")
		}
		from = int32(n)
	}
	size := mostPage
	if l.size != nil {
		size = min(max(int(*l.size), leastPage), mostPage)
	}
	first := slices.IndexFunc(all, func(b B) bool { return index(b) >= from })
	if first < 0 {
		return nil, nil, nil
	}
	if all = all[first:]; len(all) <= size {
		return all, nil, nil
	}
	next := t.pageToken(l.of, index(all[size]))
	return all[:size], &next, nil
}

func (s *Service) listSnapshotBlocks(ctx context.Context, in *ebs.ListSnapshotBlocksInput) (*ebs.ListSnapshotBlocksOutput, error) {
	one, err := s.readable(ctx, in.SnapshotId)
	if err != nil {
		return nil, err
	}
	found, next, err := part(s.tokens, listing{one.ID, in.NextToken, in.MaxResults, in.StartingBlockIndex},
		s.snapshots.Blocks().List(one.ID), func(b blocks.Block) int32 { return b.Index })
	if err != nil {
		return nil, err
	}
	out := &ebs.ListSnapshotBlocksOutput{
		BlockSize: aws.Int32(blocks.Size), VolumeSize: aws.Int64(int64(one.Size)), NextToken: next, ExpiryTime: aws.Time(time.Now().Add(blockLife)),
	}
	for _, b := range found {
		out.Blocks = append(out.Blocks, types.Block{
			BlockIndex: aws.Int32(b.Index), BlockToken: aws.String(s.tokens.seal(blockToken(one.ID, b.Index), blockLife)),
		})
	}
	return out, nil
}

// change is a block that two snapshots do not have alike.
type change struct {
	index         int32
	first, second bool // which of them has it
}

func (s *Service) listChangedBlocks(ctx context.Context, in *ebs.ListChangedBlocksInput) (*ebs.ListChangedBlocksOutput, error) {
	second, err := s.readable(ctx, in.SecondSnapshotId)
	if err != nil {
		return nil, err
	}
	var before []blocks.Block
	first := second
	if in.FirstSnapshotId != nil {
		if first, err = s.readable(ctx, in.FirstSnapshotId); err != nil {
			return nil, err
		}
		if first.Lineage != second.Lineage {
			return nil, invalid(types.ValidationExceptionReasonUnrelatedSnapshots, "The snapshots %s and %s are not related.", first.ID, second.ID)
		}
		before = s.snapshots.Blocks().List(first.ID)
	}
	found, next, err := part(s.tokens, listing{first.ID + " " + second.ID, in.NextToken, in.MaxResults, in.StartingBlockIndex},
		changes(before, s.snapshots.Blocks().List(second.ID)), func(c change) int32 { return c.index })
	if err != nil {
		return nil, err
	}
	out := &ebs.ListChangedBlocksOutput{
		BlockSize: aws.Int32(blocks.Size), VolumeSize: aws.Int64(int64(second.Size)), NextToken: next, ExpiryTime: aws.Time(time.Now().Add(blockLife)),
	}
	for _, c := range found {
		b := types.ChangedBlock{BlockIndex: aws.Int32(c.index)}
		if c.first {
			b.FirstBlockToken = aws.String(s.tokens.seal(blockToken(first.ID, c.index), blockLife))
		}
		if c.second {
			b.SecondBlockToken = aws.String(s.tokens.seal(blockToken(second.ID, c.index), blockLife))
		}
		out.ChangedBlocks = append(out.ChangedBlocks, b)
	}
	return out, nil
}

// changes merges two lists in order of index.
func changes(before, after []blocks.Block) []change {
	var found []change
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Index < after[0].Index:
			found, before = append(found, change{before[0].Index, true, false}), before[1:]
		case len(before) == 0 || after[0].Index < before[0].Index:
			found, after = append(found, change{after[0].Index, false, true}), after[1:]
		default:
			if before[0].Digest != after[0].Digest {
				found = append(found, change{after[0].Index, true, true})
			}
			before, after = before[1:], after[1:]
		}
	}
	return found
}
