package s3

import (
	"slices"
	"strings"
	"time"
)

// object is one version of what a key holds, or a delete marker. It is never
// changed in place.
type object struct {
	Version  string // "null" unless the bucket keeps versions
	Sequence int64  // the higher, the newer
	Marker   bool   `json:",omitempty"`
	Modified time.Time
	Size     int64             `json:",omitempty"`
	ETag     string            `json:",omitempty"` // without quotes
	Header   map[string]string `json:",omitempty"` // sent back with the content, canonical names
	Meta     map[string]string `json:",omitempty"` // user metadata, without x-amz-meta-
	Tags     []tag             `json:",omitempty"`
	Checksum checksum
	Parts    []part `json:",omitempty"` // the content, in order
	Multiple bool   `json:",omitempty"` // made by a multipart upload
}

// part is a piece of content in a blob of its own.
type part struct {
	Number   int
	Size     int64
	ETag     string // of an uploaded part, without quotes
	Modified time.Time
	Blob     string
	Sums     map[string]string `json:",omitempty"` // base64 by algorithm
}

// checksum is what S3 keeps to tell content by.
type checksum struct {
	Algorithm string // such as "CRC32"
	Type      string // FULL_OBJECT or COMPOSITE
	Value     string // base64, a composite one with "-N"
}

const (
	fullObject  = "FULL_OBJECT"
	composite   = "COMPOSITE"
	nullVersion = "null"
)

func (o *object) quotedETag() string { return `"` + o.ETag + `"` }

// partChecksum is what S3 still knows of a part's sum once the upload has
// ended: nothing, when the object's checksum is one of the whole.
func (o *object) partChecksum(p part) checksum {
	if o.Checksum.Type != composite {
		return checksum{}
	}
	return checksum{Algorithm: o.Checksum.Algorithm, Value: p.Sums[o.Checksum.Algorithm]}
}

// tag is a key and a value that somebody gave.
type tag struct{ Key, Value string }

// history is what a key holds, newest first.
type history []*object

// current is what a plain GET sees; nil when there is nothing, or a marker.
func (h history) current() *object {
	if len(h) == 0 || h[0].Marker {
		return nil
	}
	return h[0]
}

func (h history) find(sequence int64) *object {
	for _, o := range h {
		if o.Sequence == sequence {
			return o
		}
	}
	return nil
}

func (h history) version(id string) *object {
	for _, o := range h {
		if o.Version == id {
			return o
		}
	}
	return nil
}

// adding puts o in its place. There is only ever one "null" version.
func (h history) adding(o *object) history {
	after := slices.DeleteFunc(slices.Clone(h), func(old *object) bool {
		return old.Version == nullVersion && o.Version == nullVersion
	})
	after = append(after, o)
	slices.SortStableFunc(after, func(a, b *object) int { return int(b.Sequence - a.Sequence) })
	return after
}

func (h history) without(o *object) history {
	return slices.DeleteFunc(slices.Clone(h), func(old *object) bool { return old.Sequence == o.Sequence })
}

// replacing puts a changed copy of a version in its place.
func (h history) replacing(o *object) history {
	after := slices.Clone(h)
	for i := range after {
		if after[i].Sequence == o.Sequence {
			after[i] = o
		}
	}
	return after
}

// selected is the version that a request names, or the current one.
func (h history) selected(r *request) (*object, error) {
	id := r.query.Get("versionId")
	if !r.query.Has("versionId") {
		if len(h) > 0 && h[0].Marker {
			return nil, noSuchKey(r.key).sending("X-Amz-Delete-Marker", "true").sending("X-Amz-Version-Id", h[0].Version)
		}
		if len(h) == 0 {
			return nil, noSuchKey(r.key)
		}
		return h[0], nil
	}
	if err := checkVersionID(id); err != nil {
		return nil, err
	}
	o := h.version(id)
	if o == nil {
		return nil, noSuchVersion(r.key, id)
	}
	if o.Marker {
		return nil, newError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.").
			with("Method", r.Method).with("ResourceType", "DeleteMarker").
			sending("X-Amz-Delete-Marker", "true").sending("X-Amz-Version-Id", o.Version).
			sending("Allow", "DELETE").sending("Last-Modified", httpTime(o.Modified))
	}
	return o, nil
}

func checkVersionID(id string) error {
	if id == nullVersion || len(id) == 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == "" {
		return nil
	}
	return invalidArgument("versionId", id, "Invalid version id specified")
}

// httpTime is a time as headers have it.
func httpTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
