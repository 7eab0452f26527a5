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
	"github.com/wpbake/wpbake/artifact/timed"
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
		st, err := s.judge(ctx, name, body, c, s.fail("putting", name, err))
		if !errors.Is(err, errConflict) || attempt >= conflicts {
			return st, err
		}
		if err := pause(ctx, time.Duration(attempt+1)*100*time.Millisecond); err != nil {
			return artifact.Stat{}, err
		}
	}
}

// judge reads back what is stored after S3 refused to write body. It is nil
// when that is body, and errConflict when the same write may succeed.
func (s *Store) judge(ctx context.Context, name string, body artifact.Body, c artifact.Condition, refusal error) (artifact.Stat, error) {
	conflict := errors.Is(refusal, errConflict)
	if !conflict && !settled(refusal) {
		return artifact.Stat{}, refusal
	}
	st, found, err := s.readBack(ctx, name, body)
	switch {
	case err != nil:
		return artifact.Stat{}, err
	case found == ours:
		return st, nil
	case conflict:
		return artifact.Stat{}, refusal
	case c == artifact.Condition{}:
		return artifact.Stat{}, refusal
	case c.Absent && found == nothing:
		return artifact.Stat{}, errors.Join(errConflict, refusal)
	case c.Absent:
		return artifact.Stat{}, fmt.Errorf("putting %q: %w", name, artifact.ErrExists)
	}
	return artifact.Stat{}, fmt.Errorf("putting %q: %w", name, artifact.ErrChanged)
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

// What a read-back found under a name.
type finding int

const (
	nothing finding = iota
	others
	ours
)

// readBack tells whose bytes are stored.
func (s *Store) readBack(ctx context.Context, name string, body artifact.Body) (artifact.Stat, finding, error) {
	o, err := timed.Get(ctx, s, name, 0, -1)
	if errors.Is(err, artifact.ErrNotFound) {
		return artifact.Stat{}, nothing, nil
	}
	if err != nil {
		return artifact.Stat{}, nothing, err
	}
	defer o.Close()
	if o.Size != body.Size {
		return artifact.Stat{}, others, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, o); err != nil {
		return artifact.Stat{}, nothing, s.fail("getting", name, err)
	}
	if artifact.DigestFromSum(h.Sum(nil)) != body.Digest {
		return artifact.Stat{}, others, nil
	}
	return o.Stat, ours, nil
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
