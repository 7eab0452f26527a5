package s3store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/artifact"
)

// singlePut is the largest body sent in one request, in bytes; larger ones go
// in parts that are sent side by side.
const singlePut = 16 << 20

// conflicts is how often a write is repeated that S3 refuses because another
// one is under way (409). S3's own retries do not cover it.
const conflicts = 6

// Put implements artifact.Store.
func (s *Store) Put(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	for attempt := 0; ; attempt++ {
		etag, err := s.send(ctx, name, body, c)
		if err == nil {
			return artifact.Stat{Name: name, Size: body.Size, ETag: etag}, nil
		}
		err = s.fail("putting", name, err)
		if c == (artifact.Condition{}) && !errors.Is(err, errConflict) {
			return artifact.Stat{}, err
		}
		if settled(err) || errors.Is(err, errConflict) {
			if st, own := s.readBack(ctx, name, body); own {
				return st, nil
			}
		}
		switch {
		case errors.Is(err, errConflict) && attempt < conflicts:
			if werr := pause(ctx, time.Duration(attempt+1)*100*time.Millisecond); werr != nil {
				return artifact.Stat{}, werr
			}
		case settled(err) && c.Absent:
			return artifact.Stat{}, fmt.Errorf("putting %q: %w", name, artifact.ErrExists)
		case settled(err):
			return artifact.Stat{}, fmt.Errorf("putting %q: %w", name, artifact.ErrChanged)
		default:
			return artifact.Stat{}, err
		}
	}
}

// settled reports whether S3's answer is final about a condition: the
// precondition failed, the object to be replaced is gone, or the multipart
// upload is, which follows a completion whose answer was lost.
func settled(err error) bool {
	return errors.Is(err, errPrecondition) || errors.Is(err, artifact.ErrNotFound) || errors.Is(err, errNoUpload)
}

func (s *Store) send(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (etag string, err error) {
	if body.Size > singlePut {
		return s.sendParts(ctx, name, body, c)
	}
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: s.key(name), ExpectedBucketOwner: s.owner,
		Body: io.NewSectionReader(body, 0, body.Size), ContentLength: &body.Size,
	}
	in.IfNoneMatch, in.IfMatch = headers(c)
	out, err := s.client.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

func headers(c artifact.Condition) (ifNoneMatch, ifMatch *string) {
	if c.Absent {
		ifNoneMatch = aws.String("*")
	}
	if c.ETag != "" {
		ifMatch = &c.ETag
	}
	return ifNoneMatch, ifMatch
}

// readBack reports whether the stored bytes are body's.
func (s *Store) readBack(ctx context.Context, name string, body artifact.Body) (artifact.Stat, bool) {
	o, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return artifact.Stat{}, false
	}
	defer o.Close()
	if o.Size != body.Size {
		return artifact.Stat{}, false
	}
	h := sha256.New()
	if _, err := io.Copy(h, o); err != nil {
		return artifact.Stat{}, false
	}
	return o.Stat, artifact.DigestFromSum(h.Sum(nil)) == body.Digest
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
