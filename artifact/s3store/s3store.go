// Package s3store keeps objects in an S3 bucket.
//
// It knows S3's conditional writes and how their answers can mislead: an
// answer that was lost is retried by the SDK and then refused as if somebody
// else had written, so every refusal is read back before it is believed. It
// does not know what the objects mean.
package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/artifact"
)

// Store is a prefix in a bucket. It is safe for concurrent use.
type Store struct {
	client *s3.Client
	bucket string
	prefix string  // empty or with a final slash
	owner  *string // account that must own the bucket
}

// New opens a prefix of a bucket. With an owner, an account of 12 digits, every
// call fails if the bucket is somebody else's.
func New(client *s3.Client, bucket, prefix, owner string) *Store {
	s := &Store{client: client, bucket: bucket}
	if p := strings.Trim(prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	if owner != "" {
		s.owner = &owner
	}
	return s
}

func (s *Store) key(name string) *string { return aws.String(s.prefix + name) }

// Get implements artifact.Store.
func (s *Store) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner}
	if n == 0 {
		return s.head(ctx, name)
	}
	if off > 0 || n > 0 {
		in.Range = aws.String(byteRange(off, n))
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, s.fail("getting", name, err)
	}
	size := aws.ToInt64(out.ContentLength)
	if out.ContentRange != nil {
		if size, err = totalOf(*out.ContentRange); err != nil {
			out.Body.Close()
			return nil, fmt.Errorf("getting %q: %w", name, err)
		}
	}
	return &artifact.Object{ReadCloser: out.Body, Stat: artifact.Stat{Name: name, Size: size, ETag: aws.ToString(out.ETag)}}, nil
}

func (s *Store) head(ctx context.Context, name string) (*artifact.Object, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner})
	if err != nil {
		return nil, s.fail("getting", name, err)
	}
	st := artifact.Stat{Name: name, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag)}
	return &artifact.Object{ReadCloser: io.NopCloser(strings.NewReader("")), Stat: st}, nil
}

// byteRange is an HTTP range, whose last byte is included.
func byteRange(off, n int64) string {
	if n < 0 {
		return fmt.Sprintf("bytes=%d-", off)
	}
	return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
}

// totalOf reads the size of the whole from "bytes 0-9/100".
func totalOf(contentRange string) (int64, error) {
	_, total, _ := strings.Cut(contentRange, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading content range %q: %w", contentRange, err)
	}
	return size, nil
}

// List implements artifact.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: s.key(prefix), ExpectedBucketOwner: s.owner,
	})
	var stats []artifact.Stat
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.fail("listing", prefix, err)
		}
		for _, o := range page.Contents {
			stats = append(stats, artifact.Stat{
				Name: strings.TrimPrefix(aws.ToString(o.Key), s.prefix), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag),
			})
		}
	}
	return stats, nil
}

// Delete implements artifact.Store.
func (s *Store) Delete(ctx context.Context, name string, c artifact.Condition) error {
	in := &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner}
	if c.ETag != "" {
		in.IfMatch = &c.ETag
	}
	_, err := s.client.DeleteObject(ctx, in)
	if err == nil {
		return nil
	}
	err = s.fail("deleting", name, err)
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return nil
	case errors.Is(err, errPrecondition), errors.Is(err, errConflict):
		return fmt.Errorf("deleting %q: %w", name, artifact.ErrChanged)
	}
	return err
}
