package s3

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

const (
	maxTags       = 10
	maxBucketTags = 50
)

func invalidTag(message string) *apiError {
	return newError(http.StatusBadRequest, "InvalidTag", message)
}

// tagsOf reads tags as the x-amz-tagging header has them.
func tagsOf(text string) ([]tag, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, invalidArgument("x-amz-tagging", text, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	var tags []tag
	for key, all := range values {
		for _, value := range all {
			tags = append(tags, tag{key, value})
		}
	}
	return checkTags(tags, maxTags)
}

// checkTags sorts tags and refuses what S3 would not take.
func checkTags(tags []tag, most int) ([]tag, error) {
	if len(tags) > most {
		return nil, newError(http.StatusBadRequest, "BadRequest", fmt.Sprintf("Object tags cannot be greater than %d", most))
	}
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	for i, t := range tags {
		switch {
		case t.Key == "" || len(t.Key) > 128:
			return nil, invalidTag("The TagKey you have provided is invalid")
		case len(t.Value) > 256:
			return nil, invalidTag("The TagValue you have provided is invalid")
		case strings.HasPrefix(t.Key, "aws:"):
			return nil, invalidTag("System tags cannot be added/updated by requester")
		case i > 0 && tags[i-1].Key == t.Key:
			return nil, invalidTag("Cannot provide multiple Tags with the same key")
		}
	}
	return tags, nil
}

func checkBucketTags(body []byte) error {
	var document tagging
	if err := decodeXML(body, &document); err != nil {
		return err
	}
	_, err := checkTags(document.Tags, maxBucketTags)
	return err
}

func (s *Service) getTagging(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	o, err := s.versions(b, r.key).selected(r)
	if err != nil {
		return err
	}
	s.tellVersion(w.Header(), b, o)
	return writeXML(w, tagging{Xmlns: namespace, Tags: o.Tags})
}

func (s *Service) putTagging(w http.ResponseWriter, r *request) error {
	var document tagging
	if err := s.readXML(r, &document); err != nil {
		return err
	}
	tags, err := checkTags(document.Tags, maxTags)
	if err != nil {
		return err
	}
	return s.setTags(w, r, tags, http.StatusOK)
}

func (s *Service) deleteTagging(w http.ResponseWriter, r *request) error {
	return s.setTags(w, r, nil, http.StatusNoContent)
}

func (s *Service) setTags(w http.ResponseWriter, r *request, tags []tag, status int) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	err = s.update(b, r.key, func(h history) (history, error) {
		o, err := h.selected(r)
		if err != nil {
			return nil, err
		}
		s.tellVersion(w.Header(), b, o)
		changed := *o
		changed.Tags = tags
		return h.replacing(&changed), nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}
