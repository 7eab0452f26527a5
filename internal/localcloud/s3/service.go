// Package s3 is Amazon S3 as far as wpbake and its users need it, behind an
// http.Handler: objects with conditional writes, multipart uploads, checksums,
// versions, tags and listings, addressed in path style.
//
// It knows S3's requests, answers and rules. It does not know who may do what:
// package wire has verified a request's signature before it comes here, and
// hands over what the signatures of a body's chunks go on from. A sub-resource
// that is not served is answered with NotImplemented and never taken for the
// object itself.
//
// Content is kept as immutable blobs named by their SHA-256, everything else
// as one small document for each key. Both are on disk before a write is
// answered, and readers see a write only then.
package s3

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where a Service keeps its buckets and whose they are.
type Options struct {
	Dir     string // own directory; "" keeps everything in memory
	Region  string // "" means eu-central-1
	Account string // owner of all buckets; "" means 123456789012
	Changed func() // called after each change; may be nil
}

// Service is one account's S3 in one region.
type Service struct {
	region         string
	account        string
	changed        func()
	routes         map[string]handler
	blobs          *blobs
	objectMetadata objectMetadata
	locks          keyLocks

	mu      sync.RWMutex // guards buckets and what each bucket holds
	buckets map[string]*bucket

	sequence atomic.Int64 // of the newest version, upload or request
	slow     atomic.Int64 // requests still to be refused
}

// New opens the service's directory, or an empty service in memory.
func New(opts Options) (*Service, error) {
	s := &Service{
		region:         cmp.Or(opts.Region, "eu-central-1"),
		account:        cmp.Or(opts.Account, "123456789012"),
		changed:        opts.Changed,
		objectMetadata: objectMetadata{dir: opts.Dir},
		buckets:        map[string]*bucket{},
	}
	if s.changed == nil {
		s.changed = func() {}
	}
	s.routes = s.table()
	var err error
	if s.blobs, err = openBlobs(opts.Dir); err != nil {
		return nil, fmt.Errorf("opening S3's directory %q: %w", opts.Dir, err)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("reading S3's directory %q: %w", opts.Dir, err)
	}
	return s, nil
}

// SlowDown has the next n requests answered with 503 SlowDown.
func (s *Service) SlowDown(n int) { s.slow.Store(int64(n)) }

// ServeHTTP answers one S3 request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.ToUpper(s.newID("request")[:16])
	w.Header().Set("X-Amz-Request-Id", id)
	w.Header().Set("X-Amz-Id-2", id)
	w.Header().Set("Server", "AmazonS3")
	if err := s.serve(w, r); err != nil {
		writeError(w, r, err)
	}
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) error {
	if s.slow.Load() > 0 && s.slow.Add(-1) >= 0 {
		return errSlowDown
	}
	req, err := parseRequest(r)
	if err != nil {
		return err
	}
	handle, err := s.route(req)
	if err != nil {
		return err
	}
	if owner := req.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != s.account {
		return errAccessDenied
	}
	return handle(w, req)
}

// newID makes an identifier that is never made twice, neither in this run nor
// in one that restored an older state: it comes from counter and clock.
func (s *Service) newID(kind string) string {
	seed := fmt.Sprintf("%s %d %d", kind, s.sequence.Add(1), time.Now().UnixNano())
	sum := sha256.Sum256([]byte(seed))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20]))
}

// keyLocks hold one lock for each key; keys may share one.
type keyLocks [256]sync.Mutex

func (l *keyLocks) of(bucket, key string) *sync.Mutex {
	sum := sha256.Sum256([]byte(bucket + "/" + key))
	return &l[sum[0]]
}

// bucketNamed is the bucket that a request names.
func (s *Service) bucketNamed(name string) (*bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, noSuchBucket(name)
}

// inBucket does something while the bucket can not be deleted.
func (s *Service) inBucket(b *bucket, do func() error) error {
	b.alive.RLock()
	defer b.alive.RUnlock()
	if b.deleted {
		return noSuchBucket(b.Name)
	}
	return do()
}

// update changes what one key of a bucket holds.
func (s *Service) update(b *bucket, key string, change func(history) (history, error)) error {
	return s.inBucket(b, func() error { return s.change(b, key, change) })
}

// change has change alone under the key's lock turn its versions, newest
// first, into what they become. Readers see the outcome once it is on disk.
// Content that no version holds any more is let go.
func (s *Service) change(b *bucket, key string, change func(history) (history, error)) error {
	lock := s.locks.of(b.Name, key)
	lock.Lock()
	defer lock.Unlock()
	before := s.versions(b, key)
	after, err := change(before)
	if err != nil {
		return err
	}
	if len(before) == 0 && len(after) == 0 {
		return nil
	}
	if err := s.objectMetadata.saveKey(b.Name, key, after); err != nil {
		return fmt.Errorf("saving key %q: %w", key, err)
	}
	s.mu.Lock()
	b.set(key, after)
	s.mu.Unlock()
	s.release(before, after)
	s.changed()
	return nil
}

// release lets the content go of versions that are no longer there.
func (s *Service) release(before, after history) {
	for _, o := range before {
		if after.find(o.Sequence) == nil {
			s.blobs.release(o.Parts...)
		}
	}
}

func (s *Service) versions(b *bucket, key string) history {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return b.objects[key]
}
