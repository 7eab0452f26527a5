package s3store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wpbake/wpbake/artifact"
)

// Parts of a multipart upload. S3 takes at most 10,000 parts of at least
// 5 MiB, so parts grow with an object whose size is known.
const (
	partSize  = 8 << 20
	partLimit = 10_000
	atOnce    = 4 // parts under way, and in memory
)

// Upload implements artifact.Uploader. The upload begins at S3 with the second
// part: a smaller object is put.
func (s *Store) Upload(ctx context.Context, name string) (artifact.Upload, error) {
	return s.newUpload(ctx, name, partSize), nil
}

// Sweep implements artifact.Uploader.
func (s *Store) Sweep(ctx context.Context, name string) error {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{
		Bucket: &s.bucket, Prefix: s.key(name), ExpectedBucketOwner: s.owner,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail("listing uploads of", name, err)
		}
		for _, found := range page.Uploads {
			if aws.ToString(found.Key) != *s.key(name) {
				continue
			}
			if err := s.abort(ctx, name, found.UploadId); err != nil {
				return err
			}
		}
	}
	return nil
}

// abort removes an upload and its parts; one that is gone is no error.
func (s *Store) abort(ctx context.Context, name string, id *string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner, UploadId: id,
	})
	if err == nil {
		return nil
	}
	if err = s.fail("aborting the upload of", name, err); errors.Is(err, errNoUpload) {
		return nil
	}
	return err
}

// sendParts uploads in parts. What is there already, it does not send again.
func (s *Store) sendParts(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (etag string, err error) {
	if c.Absent {
		st, found, err := s.readBack(ctx, name, body)
		if err != nil || found == ours {
			return st.ETag, err
		}
	}
	u := s.newUpload(ctx, name, max(partSize, (body.Size+partLimit-1)/partLimit))
	defer u.Abort(ctx)
	if _, err := io.Copy(u, io.NewSectionReader(body, 0, body.Size)); err != nil {
		return "", err
	}
	return u.complete(ctx, c)
}

// upload is one multipart upload, under a checksum of the whole object that S3
// checks when the parts are put together. Parts are sent while the next is
// being written.
type upload struct {
	store *Store
	name  string
	ctx   context.Context // of the parts under way; its cause is their first error
	stop  context.CancelCauseFunc
	id    *string       // nil before the first part is sent
	part  int64         // bytes of a part but the last
	size  int64         // bytes written
	buf   []byte        // the open part
	free  chan []byte   // buffers of parts that were sent
	slots chan struct{} // a token for each part under way
	sent  sync.WaitGroup
	mu    sync.Mutex
	parts []types.CompletedPart
	done  bool
}

func (s *Store) newUpload(ctx context.Context, name string, part int64) *upload {
	u := &upload{store: s, name: name, part: part, free: make(chan []byte, atOnce), slots: make(chan struct{}, atOnce)}
	u.ctx, u.stop = context.WithCancelCause(ctx)
	return u
}

// Write implements artifact.Upload.
func (u *upload) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if int64(len(u.buf)) == u.part {
			if err := u.send(); err != nil {
				return 0, err
			}
		}
		k := min(int(u.part)-len(u.buf), len(p))
		u.buf = append(u.buf, p[:k]...)
		p = p[k:]
		u.size += int64(k)
	}
	return n, context.Cause(u.ctx)
}

// send sends the open part beside what comes next.
func (u *upload) send() error {
	if err := u.begin(); err != nil {
		return err
	}
	select {
	case u.slots <- struct{}{}:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	b, i := u.buf, len(u.parts)
	u.mu.Lock()
	u.parts = append(u.parts, types.CompletedPart{})
	u.mu.Unlock()
	u.sent.Go(func() {
		u.sendPart(i, b)
		u.free <- b[:0]
		<-u.slots
	})
	select {
	case u.buf = <-u.free:
	default:
		u.buf = make([]byte, 0, u.part)
	}
	return nil
}

func (u *upload) begin() error {
	if u.id != nil {
		return nil
	}
	created, err := u.store.client.CreateMultipartUpload(u.ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
	})
	if err != nil {
		return u.store.fail("putting", u.name, err)
	}
	u.id = created.UploadId
	return nil
}

func (u *upload) sendPart(i int, b []byte) {
	number := aws.Int32(int32(i + 1))
	out, err := u.store.client.UploadPart(u.ctx, &s3.UploadPartInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner,
		UploadId: u.id, PartNumber: number, Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme,
	})
	if err != nil {
		u.stop(u.store.fail("putting", u.name, err))
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[i] = types.CompletedPart{ETag: out.ETag, PartNumber: number, ChecksumCRC64NVME: out.ChecksumCRC64NVME}
}

// complete sends what is left and puts the parts together.
func (u *upload) complete(ctx context.Context, c artifact.Condition) (etag string, err error) {
	if err := u.send(); err != nil {
		return "", err
	}
	u.sent.Wait()
	if err := context.Cause(u.ctx); err != nil {
		return "", err
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.name), ExpectedBucketOwner: u.store.owner, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
		ChecksumType:    types.ChecksumTypeFullObject, MpuObjectSize: &u.size,
	}
	in.IfNoneMatch, in.IfMatch = headers(c)
	out, err := u.store.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	u.done = true
	return aws.ToString(out.ETag), nil
}

// Commit implements artifact.Upload. What was sent is gone when S3 refuses to
// put it together, so a conflict with another write is left to the caller.
func (u *upload) Commit(ctx context.Context, digest artifact.Digest, c artifact.Condition) (artifact.Stat, error) {
	body := artifact.Body{Size: u.size, Digest: digest}
	if u.id == nil {
		body.ReaderAt = bytes.NewReader(u.buf)
		return u.store.Put(ctx, u.name, body, c)
	}
	etag, err := u.complete(ctx, c)
	if err == nil {
		return artifact.Stat{Name: u.name, Size: u.size, ETag: etag}, nil
	}
	return u.store.judge(ctx, u.name, body, c, u.store.fail("putting", u.name, err))
}

// Abort implements artifact.Upload. It does not wait for a store that cannot
// be reached: S3 has its own rule for what is left over.
func (u *upload) Abort(ctx context.Context) error {
	u.stop(context.Canceled)
	u.sent.Wait()
	if u.id == nil || u.done {
		return nil
	}
	u.done = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return u.store.abort(ctx, u.name, u.id)
}
