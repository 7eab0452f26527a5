package s3

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxParts    = 10_000
	minPartSize = 5 << 20
)

// upload is a multipart upload that goes on.
type upload struct {
	ID        string
	Key       string
	Sequence  int64 // S3 orders versions by the upload's start
	Started   time.Time
	Draft     object // headers, metadata and tags of the object to be
	Algorithm string // that the client asked for, "" for none
	Type      string // of the whole object's checksum

	mu     sync.Mutex
	closed bool
	parts  map[int]part
}

// algorithm is what the object's checksum will be by.
func (u *upload) algorithm() string { return cmp.Or(u.Algorithm, defaultAlgorithm) }

// list is the parts by number.
func (u *upload) list() []part {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sorted()
}

func (u *upload) sorted() []part {
	return slices.SortedFunc(maps.Values(u.parts), func(a, b part) int { return a.Number - b.Number })
}

// close ends the upload and returns its parts.
func (u *upload) close() []part {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	return u.sorted()
}

func noSuchUpload(id string) *apiError {
	return newError(http.StatusNotFound, "NoSuchUpload",
		"The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.").with("UploadId", id)
}

// uploadOf is the upload that a request names.
func (s *Service) uploadOf(r *request) (*bucket, *upload, error) {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return nil, nil, err
	}
	id := r.query.Get("uploadId")
	s.mu.RLock()
	defer s.mu.RUnlock()
	if u := b.uploads[id]; u != nil && u.Key == r.key {
		return b, u, nil
	}
	return nil, nil, noSuchUpload(id)
}

type initiateResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

func (s *Service) createUpload(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	u := &upload{Key: r.key, Started: time.Now().UTC(), parts: map[int]part{}}
	if u.Algorithm, u.Type, err = uploadChecksum(r.Header); err != nil {
		return err
	}
	if err := u.Draft.describe(r.Header); err != nil {
		return err
	}
	sse, err := s.encryptionFor(r, b)
	if err != nil {
		return err
	}
	sse.keep(u.Draft.Header)
	u.Sequence, u.ID = s.sequence.Add(1), s.newID("upload")
	err = s.inBucket(b, func() error {
		if err := s.objectMetadata.saveUpload(b.Name, u); err != nil {
			return err
		}
		s.mu.Lock()
		b.uploads[u.ID] = u
		s.mu.Unlock()
		s.changed()
		return nil
	})
	if err != nil {
		return err
	}
	if u.Algorithm != "" {
		w.Header().Set("X-Amz-Checksum-Algorithm", u.Algorithm)
		w.Header().Set("X-Amz-Checksum-Type", u.Type)
	}
	tellEncryption(w.Header(), u.Draft.Header)
	return writeXML(w, initiateResult{Bucket: r.bucket, Key: r.key, UploadID: u.ID})
}

// uploadChecksum reads how the object's checksum is to be made.
func uploadChecksum(h http.Header) (algorithm, kind string, err error) {
	algorithm = strings.ToUpper(h.Get("X-Amz-Checksum-Algorithm"))
	kind = strings.ToUpper(h.Get("X-Amz-Checksum-Type"))
	switch {
	case algorithm == "" && kind == "":
		return "", fullObject, nil
	case algorithm == "":
		return "", "", invalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case newHash(algorithm) == nil:
		return "", "", invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	case kind == "" && algorithm == defaultAlgorithm:
		return algorithm, fullObject, nil
	case kind == "":
		return algorithm, composite, nil
	case kind != fullObject && kind != composite:
		return "", "", invalidRequest("Value for x-amz-checksum-type header is invalid.")
	case kind == fullObject && !isCRC(algorithm), kind == composite && algorithm == defaultAlgorithm:
		return "", "", invalidRequest(fmt.Sprintf("The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(algorithm)))
	}
	return algorithm, kind, nil
}

func partNumberOf(r *request) (int, error) {
	n, err := strconv.Atoi(r.query.Get("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, invalidArgument("partNumber", r.query.Get("partNumber"), "Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

func (s *Service) uploadPart(w http.ResponseWriter, r *request) error {
	number, err := partNumberOf(r)
	if err != nil {
		return err
	}
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.uploadPartCopy(w, r, number)
	}
	b, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	content, err := openBody(r)
	if err != nil {
		return err
	}
	sent := content.claim.algorithm
	if u.Algorithm != "" && sent != u.Algorithm && (sent != "" || u.Type == composite) {
		return invalidRequest(fmt.Sprintf("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
			strings.ToLower(u.Algorithm), cmp.Or(strings.ToLower(sent), "null")))
	}
	found, err := s.receive(content, u.algorithm())
	if err != nil {
		return err
	}
	p := newPart(number, found)
	if err := s.addPart(b, u, p); err != nil {
		return err
	}
	told := cmp.Or(sent, u.algorithm())
	w.Header().Set("ETag", `"`+p.ETag+`"`)
	w.Header().Set(checksumHeader(told), p.Sums[told])
	tellEncryption(w.Header(), u.Draft.Header)
	w.WriteHeader(http.StatusOK)
	return nil
}

func newPart(number int, found sums) part {
	return part{
		Number: number, Size: found.size, ETag: found.md5, Modified: time.Now().UTC(),
		Blob: found.sha256, Sums: found.values,
	}
}

// addPart puts a received part into the upload, in place of one with its
// number. When the upload has ended, the part's content is let go.
func (s *Service) addPart(b *bucket, u *upload, p part) error {
	err := s.inBucket(b, func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.closed {
			return noSuchUpload(u.ID)
		}
		if err := s.objectMetadata.savePart(b.Name, u.ID, p); err != nil {
			return err
		}
		if old, ok := u.parts[p.Number]; ok {
			s.blobs.release(old)
		}
		u.parts[p.Number] = p
		s.changed()
		return nil
	})
	if err != nil {
		s.blobs.release(p)
	}
	return err
}

// uploadPartCopy takes a part from another object, or a stretch of one.
func (s *Service) uploadPartCopy(w http.ResponseWriter, r *request, number int) error {
	b, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	from, err := s.openSource(w, r)
	if err != nil {
		return err
	}
	defer from.content.Close()
	off, size, err := copyRange(r.Header.Get("X-Amz-Copy-Source-Range"), from.object.Size)
	if err != nil {
		return err
	}
	found, err := s.receiveCopy(from.content.slice(off, size), size, u.algorithm())
	if err != nil {
		return err
	}
	p := newPart(number, found)
	if err := s.addPart(b, u, p); err != nil {
		return err
	}
	result := copied{ETag: `"` + p.ETag + `"`, LastModified: stamp(p.Modified)}
	if u.Algorithm != "" {
		result.checksumElements = elementsOf(checksum{Algorithm: u.Algorithm, Value: p.Sums[u.Algorithm]})
	}
	tellEncryption(w.Header(), u.Draft.Header)
	return writeXML(w, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
		copied
	}{copied: result})
}

// copyRange reads bytes=FIRST-LAST, of which both are required.
func copyRange(text string, size int64) (off, n int64, err error) {
	if text == "" {
		if size > maxBody {
			return 0, 0, invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
		}
		return 0, size, nil
	}
	rest, ok := strings.CutPrefix(text, "bytes=")
	from, to, dash := strings.Cut(rest, "-")
	first, err1 := strconv.ParseUint(from, 10, 63)
	last, err2 := strconv.ParseUint(to, 10, 63)
	if !ok || !dash || err1 != nil || err2 != nil || first > last {
		return 0, 0, invalidArgument("x-amz-copy-source-range", text,
			"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if int64(last) >= size {
		return 0, 0, invalidArgument("x-amz-copy-source-range", text,
			fmt.Sprintf("Range specified is not valid for source object of size: %d", size))
	}
	if size < minPartSize {
		return 0, 0, invalidRequest("The specified copy source is not supported as a byte-range copy source")
	}
	return int64(first), int64(last-first) + 1, nil
}

func (s *Service) abortUpload(w http.ResponseWriter, r *request) error {
	b, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	err = s.inBucket(b, func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.closed {
			return noSuchUpload(u.ID)
		}
		if err := s.endUpload(b, u); err != nil {
			return err
		}
		s.blobs.release(u.sorted()...)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// endUpload takes the upload away; the caller holds it and minds its parts.
func (s *Service) endUpload(b *bucket, u *upload) error {
	if err := s.objectMetadata.removeUpload(b.Name, u.ID); err != nil {
		return err
	}
	u.closed = true
	s.mu.Lock()
	delete(b.uploads, u.ID)
	s.mu.Unlock()
	s.changed()
	return nil
}
