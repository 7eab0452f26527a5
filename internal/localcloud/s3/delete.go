package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
)

// deletion is one key, or one version of it, to be removed.
type deletion struct {
	key, version string
	versioned    bool // version was given
	condition    writeCondition
}

// deleted is what became of it.
type deleted struct {
	version string // removed, or of the marker made
	marker  bool   // a marker was made, or removed
}

func (s *Service) deleteObject(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	for _, name := range []string{"X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if r.Header.Get(name) != "" { // directory buckets only
			return notImplemented("header", name)
		}
	}
	condition, err := writeConditionOf(r.Header)
	if err != nil {
		return err
	}
	done, err := s.remove(b, deletion{r.key, r.query.Get("versionId"), r.query.Has("versionId"), condition})
	if err != nil {
		return err
	}
	if done.version != "" {
		w.Header().Set("X-Amz-Version-Id", done.version)
	}
	if done.marker {
		w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) remove(b *bucket, d deletion) (deleted, error) {
	if d.versioned {
		if err := checkVersionID(d.version); err != nil {
			return deleted{}, err
		}
	}
	var done deleted
	err := s.update(b, d.key, func(h history) (history, error) {
		if d.versioned {
			return s.removeVersion(h, d, &done)
		}
		if err := d.condition.checkDelete(d.key, h); err != nil {
			return nil, err
		}
		state := s.setting(b, "versioning")
		if state == "" {
			return nil, nil
		}
		marker := &object{Marker: true}
		s.stamp(b, marker)
		done = deleted{marker.Version, true}
		return h.adding(marker), nil
	})
	return done, err
}

func (s *Service) removeVersion(h history, d deletion, done *deleted) (history, error) {
	done.version = d.version
	o := h.version(d.version)
	if o == nil {
		return h, nil
	}
	if d.condition.etag != "" && (o.Marker || !matches(d.condition.etag, o.ETag)) {
		return nil, preconditionFailed("If-Match")
	}
	done.marker = o.Marker
	return h.without(o), nil
}

type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID *string `xml:"VersionId"`
		ETag      string
	} `xml:"Object"`
}

type deletedEntry struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type deleteFailure struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

type deleteResult struct {
	XMLName xml.Name        `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedEntry  `xml:",omitempty"`
	Error   []deleteFailure `xml:",omitempty"`
}

// deleteObjects removes up to a thousand keys. S3 wants the list guarded by
// Content-MD5 or a checksum: half a list would be somebody's data.
func (s *Service) deleteObjects(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	claim, err := claimOf(r.Request)
	if err != nil {
		return err
	}
	if claim.algorithm == "" && r.Header.Get("Content-Md5") == "" {
		return invalidRequest("Missing required header for this request: Content-MD5")
	}
	var list deleteRequest
	if err := s.readXML(r, &list); err != nil {
		return err
	}
	if len(list.Objects) == 0 || len(list.Objects) > maxPage {
		return errMalformedXML
	}
	result := deleteResult{}
	for _, o := range list.Objects {
		d := deletion{key: o.Key, condition: writeCondition{etag: o.ETag}}
		if o.VersionID != nil {
			d.version, d.versioned = *o.VersionID, true
		}
		done, err := s.remove(b, d)
		switch {
		case err != nil:
			result.Error = append(result.Error, failureOf(d, err))
		case !list.Quiet:
			result.Deleted = append(result.Deleted, done.entry(d))
		}
	}
	return writeXML(w, result)
}

func failureOf(d deletion, err error) deleteFailure {
	var api *apiError
	if !errors.As(err, &api) {
		api = newError(http.StatusInternalServerError, "InternalError", fmt.Sprint(err))
	}
	return deleteFailure{d.key, d.version, api.code, api.message}
}

func (done deleted) entry(d deletion) deletedEntry {
	e := deletedEntry{Key: d.key, VersionID: d.version, DeleteMarker: done.marker}
	if done.marker {
		e.DeleteMarkerVersionID = done.version
	}
	return e
}
