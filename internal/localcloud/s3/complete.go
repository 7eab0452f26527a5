package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		PartNumber int
		ETag       string
		checksumElements
	} `xml:"Part"`
}

type completeResult struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location string
	Bucket   string
	Key      string
	ETag     string
	checksumElements
}

func (s *Service) completeUpload(w http.ResponseWriter, r *request) error {
	condition, err := writeConditionOf(r.Header)
	if err != nil {
		return err
	}
	var list completeRequest
	whole, err := s.readCompletion(r, &list)
	if err != nil {
		return err
	}
	b, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	var o *object
	err = s.inBucket(b, func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.closed {
			return noSuchUpload(u.ID)
		}
		chosen, err := u.choose(list)
		if err != nil {
			return err
		}
		o = u.object(chosen)
		if err := whole.check(u, o); err != nil {
			return err
		}
		if err := s.finish(b, u, o, condition); err != nil {
			return err
		}
		s.blobs.release(u.others(chosen)...)
		return nil
	})
	if err != nil {
		return err
	}
	s.tellVersion(w.Header(), b, o)
	tellEncryption(w.Header(), o.Header)
	return writeXML(w, completeResult{
		Location: "http://" + r.Host + r.URL.EscapedPath(), Bucket: r.bucket, Key: r.key,
		ETag: o.quotedETag(), checksumElements: elementsOf(o.Checksum),
	})
}

// wholeClaim is what a completion says about the object it makes.
type wholeClaim struct {
	claimed
	kind string // checksum type, "" for none
	size int64  // -1 for none
}

// readCompletion reads the list of parts. The checksum in the header is the
// object's here, not the list's.
func (s *Service) readCompletion(r *request, list *completeRequest) (wholeClaim, error) {
	whole := wholeClaim{kind: r.Header.Get("X-Amz-Checksum-Type"), size: -1}
	var err error
	if whole.claimed, err = claimOf(r.Request); err != nil {
		return whole, err
	}
	if whole.algorithm != "" {
		sum := whole.claimed
		sum.value, _, _ = strings.Cut(sum.value, "-") // of a composite one
		if err := sum.checkValue(); err != nil {
			return whole, err
		}
	}
	if text := r.Header.Get("X-Amz-Mp-Object-Size"); text != "" {
		if whole.size, err = strconv.ParseInt(text, 10, 64); err != nil || whole.size < 0 {
			return whole, invalidRequest("Value for x-amz-mp-object-size header is invalid.")
		}
	}
	bare := *r.Request
	bare.Header = r.Header.Clone()
	bare.Header.Del(checksumHeader(whole.algorithm))
	bare.Header.Del("X-Amz-Sdk-Checksum-Algorithm")
	if err := s.readXML(&request{Request: &bare}, list); err != nil {
		return whole, err
	}
	if len(list.Parts) == 0 {
		return whole, errMalformedXML
	}
	for _, p := range list.Parts {
		if p.PartNumber < 1 || p.ETag == "" {
			return whole, errMalformedXML
		}
	}
	return whole, nil
}

// check holds the object against the claim.
func (c wholeClaim) check(u *upload, o *object) error {
	if c.size >= 0 && c.size != o.Size {
		return invalidRequest(fmt.Sprintf("The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", c.size, o.Size))
	}
	if c.kind != "" && !strings.EqualFold(c.kind, u.Type) {
		return invalidRequest(fmt.Sprintf("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", u.Type))
	}
	if c.algorithm == "" {
		return nil
	}
	if c.algorithm != o.Checksum.Algorithm {
		return invalidRequest(fmt.Sprintf("The upload was created using a %s checksum. The complete request must include the same checksum.", strings.ToLower(o.Checksum.Algorithm)))
	}
	if c.value != o.Checksum.Value {
		return badDigest(c.algorithm)
	}
	return nil
}

func invalidPart(id string, number int, etag string) *apiError {
	return newError(http.StatusBadRequest, "InvalidPart",
		"One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.").
		with("UploadId", id).with("PartNumber", strconv.Itoa(number)).with("ETag", etag)
}

// choose finds the listed parts and holds them against S3's rules.
func (u *upload) choose(list completeRequest) ([]part, error) {
	var chosen []part
	last := 0
	for _, wanted := range list.Parts {
		if wanted.PartNumber <= last {
			return nil, newError(http.StatusBadRequest, "InvalidPartOrder",
				"The list of parts was not in ascending order. Parts must be ordered by part number.").with("UploadId", u.ID)
		}
		last = wanted.PartNumber
		p, ok := u.parts[wanted.PartNumber]
		etag := strings.Trim(wanted.ETag, `"`)
		if !ok || p.ETag != etag || !wanted.agrees(p) {
			return nil, invalidPart(u.ID, wanted.PartNumber, etag)
		}
		if u.Type == composite && *wanted.field(u.Algorithm) == "" {
			return nil, invalidRequest(fmt.Sprintf("The upload was created using a %[1]s checksum. The complete request must include the checksum for each part. It was missing for part %[2]d in the request.",
				strings.ToLower(u.Algorithm), wanted.PartNumber))
		}
		chosen = append(chosen, p)
	}
	if u.Algorithm != "" && last != len(chosen) { // a gap in the numbers: the guide promises this very answer
		return nil, newError(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	}
	for _, p := range chosen[:len(chosen)-1] {
		if p.Size < minPartSize {
			return nil, newError(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size").
				with("ProposedSize", strconv.FormatInt(p.Size, 10)).with("MinSizeAllowed", strconv.Itoa(minPartSize)).
				with("PartNumber", strconv.Itoa(p.Number)).with("ETag", p.ETag)
		}
	}
	return chosen, nil
}

// agrees reports whether the checksums named for a part are its own.
func (e checksumElements) agrees(p part) bool {
	for _, algorithm := range algorithms() {
		if value := *e.field(algorithm); value != "" && value != p.Sums[algorithm] {
			return false
		}
	}
	return true
}

// object is what the chosen parts make; they are numbered anew from 1.
func (u *upload) object(chosen []part) *object {
	o := u.Draft
	o.Multiple, o.Modified = true, u.Started
	all := md5.New()
	for i, p := range chosen {
		p.Number = i + 1
		o.Parts = append(o.Parts, p)
		sum, _ := hex.DecodeString(p.ETag) // our own
		all.Write(sum)
		o.Size += p.Size
	}
	o.ETag = fmt.Sprintf("%x-%d", all.Sum(nil), len(chosen))
	o.Checksum = checksum{Algorithm: u.algorithm(), Type: u.Type}
	if u.Type == composite {
		o.Checksum.Value = compositeSum(u.Algorithm, chosen)
	} else {
		o.Checksum.Value = fullSum(u.algorithm(), chosen)
	}
	return &o
}

// others are the uploaded parts that were not chosen.
func (u *upload) others(chosen []part) []part {
	rest := maps.Clone(u.parts)
	for _, p := range chosen {
		delete(rest, p.Number)
	}
	return slices.Collect(maps.Values(rest))
}

// finish stores the object, to which the parts' content goes over, and ends
// the upload.
func (s *Service) finish(b *bucket, u *upload, o *object, condition writeCondition) error {
	err := s.change(b, u.Key, func(h history) (history, error) {
		if err := condition.check(u.Key, h); err != nil {
			return nil, err
		}
		if s.setting(b, "versioning") == versioningEnabled {
			o.Sequence = u.Sequence
		}
		s.stamp(b, o)
		return h.adding(o), nil
	})
	if err != nil {
		return err
	}
	return s.endUpload(b, u)
}
