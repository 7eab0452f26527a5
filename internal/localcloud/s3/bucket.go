package s3

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// bucket holds keys. What is written in it is guarded by the service's mutex,
// but for Name and Created, which stay, and for deleted.
type bucket struct {
	Name     string
	Created  time.Time
	Settings map[string]string // documents by sub-resource, such as "lifecycle"

	alive   sync.RWMutex // held for reading by everything that writes into the bucket
	deleted bool         // guarded by alive

	objects map[string]history
	keys    []string // of objects, sorted
	uploads map[string]*upload
}

func newBucket(name string) *bucket {
	return &bucket{
		Name: name, Created: time.Now().UTC(), Settings: map[string]string{},
		objects: map[string]history{}, uploads: map[string]*upload{},
	}
}

// set keeps a key's versions; a key without any is gone.
func (b *bucket) set(key string, h history) {
	at, found := slices.BinarySearch(b.keys, key)
	switch {
	case len(h) == 0 && found:
		b.keys = slices.Delete(b.keys, at, at+1)
		delete(b.objects, key)
		return
	case len(h) > 0 && !found:
		b.keys = slices.Insert(b.keys, at, key)
	case len(h) == 0:
		return
	}
	b.objects[key] = h
}

type bucketConfiguration struct {
	XMLName            xml.Name `xml:"CreateBucketConfiguration"`
	LocationConstraint string
}

func (s *Service) createBucket(w http.ResponseWriter, r *request) error {
	if !validBucketName(r.bucket) {
		return newError(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.").with("BucketName", r.bucket)
	}
	if strings.EqualFold(r.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		return notImplemented("header", "x-amz-bucket-object-lock-enabled")
	}
	body, err := s.readSmall(r, maxXML)
	if err != nil {
		return err
	}
	if err := s.checkLocation(body); err != nil {
		return err
	}
	if err := s.addBucket(r.bucket); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.bucket)
	w.Header().Set("X-Amz-Bucket-Arn", "arn:aws:s3:::"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) checkLocation(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	var conf bucketConfiguration
	if err := decodeXML(body, &conf); err != nil {
		return err
	}
	if at := conf.LocationConstraint; at != "" && at != s.region {
		return newError(http.StatusBadRequest, "IllegalLocationConstraintException",
			"The "+at+" location constraint is incompatible for the region specific endpoint this request was sent to.")
	}
	return nil
}

func (s *Service) addBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		if s.region == "us-east-1" { // the one region where creating again is no error
			return nil
		}
		return newError(http.StatusConflict, "BucketAlreadyOwnedByYou",
			"Your previous request to create the named bucket succeeded and you already own it.").with("BucketName", name)
	}
	b := newBucket(name)
	b.Settings["publicAccessBlock"], b.Settings["ownershipControls"] = newAccessBlock, newOwnership
	if err := s.objectMetadata.saveBucket(b); err != nil {
		return err
	}
	s.buckets[name] = b
	s.changed()
	return nil
}

// validBucketName follows S3's rules for general purpose buckets.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`).MatchString(name)
}

func (s *Service) headBucket(w http.ResponseWriter, r *request) error {
	w.Header().Set("X-Amz-Bucket-Region", s.region)
	if _, err := s.bucketNamed(r.bucket); err != nil {
		return err
	}
	w.Header().Set("X-Amz-Access-Point-Alias", "false")
	w.Header().Set("X-Amz-Bucket-Arn", "arn:aws:s3:::"+r.bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) deleteBucket(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	b.alive.Lock()
	defer b.alive.Unlock()
	if b.deleted {
		return noSuchBucket(r.bucket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.keys) > 0 {
		message := "The bucket you tried to delete is not empty"
		if b.Settings["versioning"] != "" {
			message += ". You must delete all versions in the bucket."
		}
		return newError(http.StatusConflict, "BucketNotEmpty", message).with("BucketName", r.bucket)
	}
	if err := s.objectMetadata.removeBucket(b.Name); err != nil {
		return err
	}
	b.deleted = true
	delete(s.buckets, b.Name)
	for _, u := range b.uploads {
		s.blobs.release(u.close()...)
	}
	s.changed()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type listedBucket struct {
	Name         string
	CreationDate stamp
	BucketRegion string
}

type listBucketsResult struct {
	XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner             person
	Buckets           struct{ Bucket []listedBucket }
	ContinuationToken string `xml:",omitempty"`
	Prefix            string `xml:",omitempty"`
}

func (s *Service) listBuckets(w http.ResponseWriter, r *request) error {
	most, err := r.number("max-buckets", 10_000, 10_000)
	if err != nil {
		return err
	}
	after, err := readToken(r.query.Get("continuation-token"))
	if err != nil {
		return err
	}
	if most == 0 {
		return invalidArgument("max-buckets", "0", "Argument max-buckets must be an integer between 1 and 10000")
	}
	result := listBucketsResult{Owner: s.owner(), Prefix: r.query.Get("prefix")}
	for _, b := range s.sortedBuckets() {
		if b.Name <= after || !strings.HasPrefix(b.Name, result.Prefix) {
			continue
		}
		if len(result.Buckets.Bucket) == most {
			result.ContinuationToken = token(result.Buckets.Bucket[most-1].Name)
			break
		}
		result.Buckets.Bucket = append(result.Buckets.Bucket, listedBucket{b.Name, stamp(b.Created), s.region})
	}
	return writeXML(w, result)
}

func (s *Service) sortedBuckets() []*bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.buckets), func(a, b *bucket) int { return strings.Compare(a.Name, b.Name) })
}

func (s *Service) owner() person { return person{ID: s.account} }

func (s *Service) getLocation(w http.ResponseWriter, r *request) error {
	if _, err := s.bucketNamed(r.bucket); err != nil {
		return err
	}
	region := s.region
	if region == "us-east-1" {
		region = ""
	}
	return writeXML(w, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region})
}
