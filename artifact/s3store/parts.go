package s3store

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wpbake/wpbake/artifact"
)

// Parts of a multipart upload. S3 takes at most 10,000 parts of at least
// 5 MiB, so parts grow with the object.
const (
	partSize  = 8 << 20
	partLimit = 10_000
	atOnce    = 4 // parts under way
)

// sendParts uploads in parts under a checksum of the whole object, which S3
// checks when the parts are put together. What is there already, it does not
// send again. An upload that fails is aborted:
// its parts would be paid for until somebody looked.
func (s *Store) sendParts(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (etag string, err error) {
	if c.Absent {
		st, found, err := s.readBack(ctx, name, body)
		if err != nil || found == ours {
			return st.ETag, err
		}
	}
	created, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
	})
	if err != nil {
		return "", err
	}
	u := &upload{store: s, name: name, id: created.UploadId, body: body, size: max(partSize, (body.Size+partLimit-1)/partLimit)}
	etag, err = u.run(ctx, c)
	if err != nil {
		u.abort(ctx)
	}
	return etag, err
}

// upload is one multipart upload.
type upload struct {
	store *Store
	name  string
	id    *string
	body  artifact.Body
	size  int64 // of a part but the last, in bytes
}

func (u *upload) run(ctx context.Context, c artifact.Condition) (etag string, err error) {
	parts, err := u.sendAll(ctx)
	if err != nil {
		return "", err
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		ChecksumType:    types.ChecksumTypeFullObject, MpuObjectSize: &u.body.Size,
	}
	in.IfNoneMatch, in.IfMatch = headers(c)
	out, err := u.store.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

func (u *upload) sendAll(ctx context.Context) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	count := int((u.body.Size + u.size - 1) / u.size)
	parts := make([]types.CompletedPart, count)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(atOnce, count) {
		wg.Go(func() {
			for i := range next {
				p, err := u.send(ctx, i)
				if err != nil {
					cancel(err)
					return
				}
				parts[i] = p
			}
		})
	}
	for i := range count {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return parts, context.Cause(ctx)
}

func (u *upload) send(ctx context.Context, i int) (types.CompletedPart, error) {
	off := int64(i) * u.size
	n := min(u.size, u.body.Size-off)
	out, err := u.store.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner,
		UploadId: u.id, PartNumber: aws.Int32(int32(i + 1)),
		Body: io.NewSectionReader(u.body, off, n), ContentLength: &n,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme,
	})
	if err != nil {
		return types.CompletedPart{}, err
	}
	return types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC64NVME: out.ChecksumCRC64NVME}, nil
}

func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// An upload that was completed after all is gone, and a store that cannot
	// be reached has its own rule for what is left over.
	_, _ = u.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner, UploadId: u.id,
	})
}
