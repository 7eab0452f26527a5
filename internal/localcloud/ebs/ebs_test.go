package ebs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/smithy-go"

	localebs "github.com/wpbake/wpbake/internal/localcloud/ebs"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

const blockSize = 512 << 10

// inProcess sends the SDK's requests to the service without a connection.
type inProcess struct{ service *localebs.Service }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	wire.Serve(recorder, r, localebs.Protocol{}, p.service.Actions())
	return recorder.Result(), nil
}

// writer writes snapshots as a client does.
type writer struct {
	t      *testing.T
	client *ebs.Client
	ec2    *ec2.Service
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(w *writer)) {
	synctest.Test(t, func(t *testing.T) {
		machines := ec2.New(ec2.Options{Region: "eu-central-1", Account: "123456789012"})
		test(&writer{t, ebs.New(ebs.Options{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: inProcess{localebs.New(machines, "secret")},
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), Retryer: aws.NopRetryer{},
		}), machines})
	})
}

func block(letter string) []byte { return bytes.Repeat([]byte(letter), blockSize) }

func checksum(data []byte) *string {
	sum := sha256.Sum256(data)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

func (w *writer) start(change func(*ebs.StartSnapshotInput)) (*ebs.StartSnapshotOutput, error) {
	in := &ebs.StartSnapshotInput{VolumeSize: aws.Int64(1)}
	if change != nil {
		change(in)
	}
	return w.client.StartSnapshot(context.Background(), in)
}

func (w *writer) put(id string, index int32, data []byte, change func(*ebs.PutSnapshotBlockInput)) error {
	in := &ebs.PutSnapshotBlockInput{
		SnapshotId: &id, BlockIndex: &index, BlockData: bytes.NewReader(data), DataLength: aws.Int32(int32(len(data))),
		Checksum: checksum(data), ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256,
	}
	if change != nil {
		change(in)
	}
	_, err := w.client.PutSnapshotBlock(context.Background(), in)
	return err
}

func (w *writer) complete(id string, count int32, sum *string) error {
	in := &ebs.CompleteSnapshotInput{SnapshotId: &id, ChangedBlocksCount: &count}
	if sum != nil {
		in.Checksum, in.ChecksumAlgorithm = sum, types.ChecksumAlgorithmChecksumAlgorithmSha256
		in.ChecksumAggregationMethod = types.ChecksumAggregationMethodChecksumAggregationLinear
	}
	out, err := w.client.CompleteSnapshot(context.Background(), in)
	if err == nil && out.Status != types.StatusPending {
		w.t.Errorf("completion answers %s", out.Status)
	}
	return err
}

// whole writes a snapshot of letters by index and waits until it is there.
func (w *writer) whole(parent string, letters map[int32]string) string {
	w.t.Helper()
	started, err := w.start(func(in *ebs.StartSnapshotInput) {
		if parent != "" {
			in.ParentSnapshotId = &parent
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for index, letter := range letters {
		if err := w.put(*started.SnapshotId, index, block(letter), nil); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.complete(*started.SnapshotId, int32(len(letters)), nil); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(6 * time.Second)
	return *started.SnapshotId
}

// content reads a snapshot block by block.
func (w *writer) content(id string) string {
	w.t.Helper()
	text := ""
	in := &ebs.ListSnapshotBlocksInput{SnapshotId: &id}
	for {
		listed, err := w.client.ListSnapshotBlocks(context.Background(), in)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range listed.Blocks {
			got, err := w.client.GetSnapshotBlock(context.Background(), &ebs.GetSnapshotBlockInput{SnapshotId: &id, BlockIndex: b.BlockIndex, BlockToken: b.BlockToken})
			if err != nil {
				w.t.Fatal(err)
			}
			data, err := io.ReadAll(got.BlockData)
			if err != nil || len(data) != blockSize || *got.Checksum != *checksum(data) {
				w.t.Fatalf("block %d: %d bytes, %v", *b.BlockIndex, len(data), err)
			}
			text += fmt.Sprintf("%d%c ", *b.BlockIndex, data[0])
		}
		if in.NextToken = listed.NextToken; in.NextToken == nil {
			return text
		}
	}
}

func wantError(t *testing.T, what string, err error, code, reason string) {
	t.Helper()
	var known smithy.APIError
	if !errors.As(err, &known) || known.ErrorCode() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
		return
	}
	var refused *types.ValidationException
	if errors.As(err, &refused) && string(refused.Reason) != reason {
		t.Errorf("%s: reason %q, want %q", what, refused.Reason, reason)
	}
}

func TestSnapshotWithParent(t *testing.T) {
	bubble(t, func(w *writer) {
		parent := w.whole("", map[int32]string{0: "a", 5: "b", 2047: "c"})
		child := w.whole(parent, map[int32]string{5: "d", 7: "e"})
		if got, want := w.content(parent)+"| "+w.content(child), "0a 5b 2047c | 0a 5d 7e 2047c "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		changed, err := w.client.ListChangedBlocks(context.Background(), &ebs.ListChangedBlocksInput{FirstSnapshotId: &parent, SecondSnapshotId: &child})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, c := range changed.ChangedBlocks {
			text += fmt.Sprintf("%d %t %t; ", *c.BlockIndex, c.FirstBlockToken != nil, c.SecondBlockToken != nil)
		}
		if want := "5 true true; 7 false true; "; text != want {
			t.Errorf("changed %q, want %q", text, want)
		}
		stranger := w.whole("", map[int32]string{0: "a"})
		_, err = w.client.ListChangedBlocks(context.Background(), &ebs.ListChangedBlocksInput{FirstSnapshotId: &stranger, SecondSnapshotId: &child})
		wantError(t, "strangers", err, "ValidationException", "UNRELATED_SNAPSHOTS")
	})
}

func TestCompletion(t *testing.T) {
	bubble(t, func(w *writer) {
		started, err := w.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		id := *started.SnapshotId
		for _, letter := range []string{"x", "b"} { // the second overwrites the first
			if err := w.put(id, 9, block(letter), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.put(id, 1, block("a"), nil); err != nil {
			t.Fatal(err)
		}
		a, b := sha256.Sum256(block("a")), sha256.Sum256(block("b"))
		wantError(t, "calls counted, not blocks", w.complete(id, 3, nil), "ValidationException", "INVALID_PARAMETER_VALUE")
		wantError(t, "order of writing", w.complete(id, 2, checksum(append(b[:], a[:]...))), "ValidationException", "INVALID_PARAMETER_VALUE")
		if err := w.complete(id, 2, checksum(append(a[:], b[:]...))); err != nil {
			t.Fatal(err)
		}
		_, err = w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id})
		wantError(t, "reading while pending", err, "ValidationException", "INVALID_SNAPSHOT_ID")
		wantError(t, "writing after the end", w.put(id, 2, block("c"), nil), "ValidationException", "INVALID_SNAPSHOT_ID")
		time.Sleep(6 * time.Second)
		if got, want := w.content(id), "1a 9b "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if started.Status != types.StatusPending || *started.BlockSize != blockSize || *started.VolumeSize != 1 || started.StartTime == nil {
			t.Errorf("started %+v", started)
		}
	})
}

func TestBlocksThatAreRefused(t *testing.T) {
	bubble(t, func(w *writer) {
		started, err := w.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		id := *started.SnapshotId
		wantError(t, "outside", w.put(id, 2048, block("a"), nil), "ValidationException", "INVALID_BLOCK")
		wantError(t, "short", w.put(id, 0, []byte("a"), nil), "ValidationException", "INVALID_BLOCK")
		wantError(t, "damaged", w.put(id, 0, block("a"), func(in *ebs.PutSnapshotBlockInput) { in.Checksum = checksum(block("b")) }), "ValidationException", "INVALID_BLOCK")
		wantError(t, "nowhere", w.put("snap-00000000", 0, block("a"), nil), "ResourceNotFoundException", "")
		if err := w.complete(id, 0, nil); err != nil {
			t.Errorf("nothing was written, says %v", err)
		}
		full := w.whole("", map[int32]string{3: "a"})
		token := w.tokenOf(full)
		for what, in := range map[string]*ebs.GetSnapshotBlockInput{
			"other block":    {SnapshotId: &full, BlockIndex: aws.Int32(4), BlockToken: token},
			"other snapshot": {SnapshotId: &id, BlockIndex: aws.Int32(3), BlockToken: token},
			"forged":         {SnapshotId: &full, BlockIndex: aws.Int32(3), BlockToken: aws.String(strings.ToLower(*token))},
		} {
			_, err := w.client.GetSnapshotBlock(context.Background(), in)
			wantError(t, what, err, "ValidationException", "INVALID_BLOCK_TOKEN")
		}
		time.Sleep(8 * 24 * time.Hour)
		_, err = w.client.GetSnapshotBlock(context.Background(), &ebs.GetSnapshotBlockInput{SnapshotId: &full, BlockIndex: aws.Int32(3), BlockToken: token})
		wantError(t, "old token", err, "ValidationException", "INVALID_BLOCK_TOKEN")
	})
}

func (w *writer) tokenOf(id string) *string {
	w.t.Helper()
	listed, err := w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id})
	if err != nil {
		w.t.Fatal(err)
	}
	return listed.Blocks[0].BlockToken
}

func TestStarts(t *testing.T) {
	bubble(t, func(w *writer) {
		parent := w.whole("", map[int32]string{0: "a"})
		pending, err := w.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			change       func(*ebs.StartSnapshotInput)
			code, reason string
		}{
			"no size":            {func(in *ebs.StartSnapshotInput) { in.VolumeSize = aws.Int64(0) }, "ValidationException", "INVALID_VOLUME_SIZE"},
			"short timeout":      {func(in *ebs.StartSnapshotInput) { in.Timeout = aws.Int32(9) }, "ValidationException", "INVALID_PARAMETER_VALUE"},
			"pending parent":     {func(in *ebs.StartSnapshotInput) { in.ParentSnapshotId = pending.SnapshotId }, "ValidationException", "INVALID_SNAPSHOT_ID"},
			"unknown parent":     {func(in *ebs.StartSnapshotInput) { in.ParentSnapshotId = aws.String("snap-00000000") }, "ResourceNotFoundException", ""},
			"parent and encrypt": {func(in *ebs.StartSnapshotInput) { in.ParentSnapshotId, in.Encrypted = &parent, aws.Bool(true) }, "ValidationException", "INVALID_PARAMETER_VALUE"},
			"key alone":          {func(in *ebs.StartSnapshotInput) { in.KmsKeyArn = aws.String("arn:aws:kms:eu-central-1:1:key/1") }, "ValidationException", "INVALID_PARAMETER_VALUE"},
		} {
			_, err := w.start(c.change)
			wantError(t, what, err, c.code, c.reason)
		}
		once := func(in *ebs.StartSnapshotInput) { in.ClientToken = aws.String("once") }
		first, err := w.start(once)
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.start(once)
		if err != nil || *again.SnapshotId != *first.SnapshotId {
			t.Errorf("a second start with one token: %v", err)
		}
		_, err = w.start(func(in *ebs.StartSnapshotInput) { once(in); in.VolumeSize = aws.Int64(2) })
		wantError(t, "token with other parameters", err, "ConflictException", "")
		secret, err := w.start(func(in *ebs.StartSnapshotInput) { in.Encrypted = aws.Bool(true) })
		if err != nil || secret.SseType != types.SSETypeSseKms || !strings.HasSuffix(*secret.KmsKeyArn, "alias/aws/ebs") {
			t.Errorf("encrypted: %+v, %v", secret, err)
		}
	})
}

func TestAFreshSnapshotMayNotBeThereYet(t *testing.T) {
	bubble(t, func(w *writer) {
		w.ec2.SetLag(30 * time.Second)
		started, err := w.start(nil)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "at once", w.put(*started.SnapshotId, 0, block("a"), nil), "ResourceNotFoundException", "")
		time.Sleep(31 * time.Second)
		if err := w.put(*started.SnapshotId, 0, block("a"), nil); err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyWrites(t *testing.T) {
	bubble(t, func(w *writer) {
		started, err := w.start(func(in *ebs.StartSnapshotInput) { in.Timeout = aws.Int32(10) })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		if err := w.put(*started.SnapshotId, 0, block("a"), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		if err := w.put(*started.SnapshotId, 1, block("b"), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		wantError(t, "after the timeout", w.put(*started.SnapshotId, 2, block("c"), nil), "ValidationException", "INVALID_SNAPSHOT_ID")
	})
}

func TestPages(t *testing.T) {
	bubble(t, func(w *writer) {
		letters := map[int32]string{}
		for index := range int32(101) {
			letters[index*2] = "a"
		}
		id := w.whole("", letters)
		first, err := w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id, MaxResults: aws.Int32(1)})
		if err != nil || len(first.Blocks) != 100 || first.NextToken == nil {
			t.Fatalf("%d blocks, %v", len(first.Blocks), err)
		}
		last, err := w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id, NextToken: first.NextToken})
		if err != nil || len(last.Blocks) != 1 || *last.Blocks[0].BlockIndex != 200 || last.NextToken != nil {
			t.Errorf("the last page: %+v, %v", last, err)
		}
		from, err := w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id, StartingBlockIndex: aws.Int32(197)})
		if err != nil || len(from.Blocks) != 2 {
			t.Errorf("from 197: %+v, %v", from, err)
		}
		_, err = w.client.ListSnapshotBlocks(context.Background(), &ebs.ListSnapshotBlocksInput{SnapshotId: &id, NextToken: aws.String("7.x")})
		wantError(t, "forged page", err, "ValidationException", "INVALID_PAGE_TOKEN")
	})
}

func TestPendingSnapshotsAreLimited(t *testing.T) {
	bubble(t, func(w *writer) {
		for range 100 {
			if _, err := w.start(nil); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.start(nil)
		wantError(t, "the hundred-and-first", err, "ConcurrentLimitExceededException", "")
	})
}
