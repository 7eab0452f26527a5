package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type attributes struct {
	XMLName      xml.Name          `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
	ETag         string            `xml:",omitempty"`
	Checksum     *checksumElements `xml:",omitempty"`
	ObjectParts  *objectParts      `xml:",omitempty"`
	StorageClass string            `xml:",omitempty"`
	ObjectSize   *int64            `xml:",omitempty"`
}

type objectParts struct {
	PartsCount           int
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Parts                []attributePart `xml:"Part"`
}

type attributePart struct {
	PartNumber int
	Size       int64
	checksumElements
}

// getAttributes answers only what x-amz-object-attributes asks for.
func (s *Service) getAttributes(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	wanted, err := wantedAttributes(r.Header)
	if err != nil {
		return err
	}
	o, err := s.versions(b, r.key).selected(r)
	if err != nil {
		return err
	}
	if err := (readCondition{header: r.Header}).check(o); err != nil {
		return err
	}
	answer := attributes{}
	for _, name := range wanted {
		switch name {
		case "ETag":
			answer.ETag = o.ETag
		case "Checksum":
			elements := elementsOf(o.Checksum)
			answer.Checksum = &elements
		case "ObjectParts":
			if answer.ObjectParts, err = o.attributeParts(r.Header); err != nil {
				return err
			}
		case "StorageClass":
			answer.StorageClass = o.storageClass()
		case "ObjectSize":
			answer.ObjectSize = &o.Size
		}
	}
	s.tellVersion(w.Header(), b, o)
	w.Header().Set("Last-Modified", httpTime(o.Modified))
	return writeXML(w, answer)
}

func wantedAttributes(h http.Header) ([]string, error) {
	text := strings.ReplaceAll(strings.Join(h.Values("X-Amz-Object-Attributes"), ","), " ", "")
	if text == "" {
		return nil, invalidRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	wanted := strings.Split(text, ",")
	for _, name := range wanted {
		if !slices.Contains([]string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}, name) {
			return nil, invalidArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
		}
	}
	return wanted, nil
}

// attributeParts is a page of an uploaded object's parts; an object made by
// one put has none.
func (o *object) attributeParts(h http.Header) (*objectParts, error) {
	if !o.Multiple {
		return nil, nil
	}
	most, err := headerNumber(h, "X-Amz-Max-Parts", maxPage)
	if err != nil {
		return nil, err
	}
	marker, err := headerNumber(h, "X-Amz-Part-Number-Marker", 0)
	if err != nil {
		return nil, err
	}
	page := &objectParts{PartsCount: len(o.Parts), PartNumberMarker: marker, MaxParts: min(most, maxPage)}
	rest := partsBehind(o.Parts, marker)
	page.IsTruncated = len(rest) > page.MaxParts
	for _, p := range rest[:min(len(rest), page.MaxParts)] {
		page.Parts = append(page.Parts, attributePart{p.Number, p.Size, elementsOf(o.partChecksum(p))})
		page.NextPartNumberMarker = p.Number
	}
	return page, nil
}

func headerNumber(h http.Header, name string, otherwise int) (int, error) {
	text := h.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, invalidArgument(strings.ToLower(name), text, "Provided value is not an integer or within integer range")
	}
	return int(n), nil
}
