package s3

import (
	"cmp"
	"net/http"
	"time"
)

func (s *Service) putObject(w http.ResponseWriter, r *request) error {
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyObject(w, r)
	}
	if err := refuseParameters(r, "partNumber", "versionId"); err != nil {
		return err
	}
	if r.Header.Get("X-Amz-Write-Offset-Bytes") != "" {
		return notImplemented("header", "x-amz-write-offset-bytes")
	}
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	condition, err := writeConditionOf(r.Header)
	if err != nil {
		return err
	}
	o := &object{}
	if err := o.describe(r.Header); err != nil {
		return err
	}
	sse, err := s.encryptionFor(r, b)
	if err != nil {
		return err
	}
	sse.keep(o.Header)
	content, err := openBody(r)
	if err != nil {
		return err
	}
	algorithm := cmp.Or(content.claim.algorithm, defaultAlgorithm)
	found, err := s.receive(content, algorithm)
	if err != nil {
		return err
	}
	o.fill(found, sse)
	o.Checksum = checksum{algorithm, fullObject, found.values[algorithm]}
	if err := s.store(b, r.key, o, condition); err != nil {
		return err
	}
	s.tellWritten(w.Header(), b, o)
	w.WriteHeader(http.StatusOK)
	return nil
}

// refuseParameters guards a write against parameters of other requests.
func refuseParameters(r *request, names ...string) error {
	for _, name := range names {
		if r.query.Has(name) {
			return invalidArgument(name, r.query.Get(name), "This operation does not accept a "+name+".")
		}
	}
	return nil
}

// fill makes one received blob the object's content.
func (o *object) fill(found sums, sse encryption) {
	o.Size, o.ETag = found.size, sse.etag(found)
	o.Parts = []part{{Number: 1, Size: found.size, Blob: found.sha256}}
}

// store makes o the key's newest version, unless the condition fails: then
// its content is let go.
func (s *Service) store(b *bucket, key string, o *object, condition writeCondition) error {
	err := s.update(b, key, func(h history) (history, error) {
		if err := condition.check(key, h); err != nil {
			return nil, err
		}
		s.stamp(b, o)
		return h.adding(o), nil
	})
	if err != nil {
		s.blobs.release(o.Parts...)
	}
	return err
}

// stamp gives a new version its name, place and time.
func (s *Service) stamp(b *bucket, o *object) {
	o.Version = nullVersion
	if s.setting(b, "versioning") == versioningEnabled {
		o.Version = s.newID("version")
	}
	if o.Sequence == 0 {
		o.Sequence = s.sequence.Add(1)
	}
	if o.Modified.IsZero() {
		o.Modified = time.Now().UTC()
	}
}

// tellWritten says in an answer's header what was written.
func (s *Service) tellWritten(h http.Header, b *bucket, o *object) {
	h.Set("ETag", o.quotedETag())
	setChecksum(h, o.Checksum)
	tellEncryption(h, o.Header)
	s.tellVersion(h, b, o)
}

// tellVersion names the version in buckets that keep them, or did.
func (s *Service) tellVersion(h http.Header, b *bucket, o *object) {
	if s.setting(b, "versioning") != "" {
		h.Set("X-Amz-Version-Id", o.Version)
	}
}
