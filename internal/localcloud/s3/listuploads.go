package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type listedPart struct {
	PartNumber   int
	LastModified stamp
	ETag         string
	Size         int64
	checksumElements
}

type listPartsResult struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  string
	UploadID             string `xml:"UploadId"`
	PartNumberMarker     int
	NextPartNumberMarker int `xml:",omitempty"`
	MaxParts             int
	IsTruncated          bool
	ChecksumAlgorithm    string       `xml:",omitempty"`
	ChecksumType         string       `xml:",omitempty"`
	Parts                []listedPart `xml:"Part"`
	Initiator            person
	Owner                person
	StorageClass         string
}

func (s *Service) listParts(w http.ResponseWriter, r *request) error {
	_, u, err := s.uploadOf(r)
	if err != nil {
		return err
	}
	most, err := r.number("max-parts", maxPage, maxPage)
	if err != nil {
		return err
	}
	marker, err := r.number("part-number-marker", 0, maxParts)
	if err != nil {
		return err
	}
	result := listPartsResult{
		Bucket: r.bucket, Key: r.key, UploadID: u.ID, PartNumberMarker: marker, MaxParts: most,
		Initiator: s.owner(), Owner: s.owner(), StorageClass: u.Draft.storageClass(),
	}
	if u.Algorithm != "" {
		result.ChecksumAlgorithm, result.ChecksumType = u.Algorithm, u.Type
	}
	for _, p := range partsBehind(u.list(), marker) {
		if len(result.Parts) == most {
			result.IsTruncated = most > 0
			break
		}
		listed := listedPart{PartNumber: p.Number, LastModified: stamp(p.Modified), ETag: `"` + p.ETag + `"`, Size: p.Size}
		if u.Algorithm != "" {
			listed.checksumElements = elementsOf(checksum{Algorithm: u.Algorithm, Value: p.Sums[u.Algorithm]})
		}
		result.Parts = append(result.Parts, listed)
		result.NextPartNumberMarker = p.Number
	}
	return writeXML(w, result)
}

// partsBehind are the parts with a number above marker.
func partsBehind(parts []part, marker int) []part {
	at := slices.IndexFunc(parts, func(p part) bool { return p.Number > marker })
	if at < 0 {
		return nil
	}
	return parts[at:]
}

type listedUpload struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	Initiator         person
	Owner             person
	StorageClass      string
	Initiated         stamp
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

type listUploadsResult struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Delimiter          string `xml:",omitempty"`
	Prefix             string
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Uploads            []listedUpload `xml:"Upload"`
	CommonPrefixes     []commonPrefix
}

func (s *Service) listUploads(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	p, err := pageOf(r, "max-uploads")
	if err != nil {
		return err
	}
	keyMarker, idMarker := r.query.Get("key-marker"), r.query.Get("upload-id-marker")
	entries, names := s.sortedUploads(b)
	if p.marker = keyMarker; keyMarker != "" {
		p.marker = markerOf(names, keyMarker, func(i int) bool { return entries[i].ID == idMarker })
	}
	l := p.walk(names, func(string) bool { return true })
	result := listUploadsResult{
		Bucket: b.Name, KeyMarker: p.name(keyMarker), UploadIDMarker: idMarker, Delimiter: p.name(p.delimiter),
		Prefix: p.name(p.prefix), EncodingType: p.encoding(), MaxUploads: p.most, IsTruncated: l.more,
		CommonPrefixes: p.commonPrefixes(l),
	}
	for _, name := range l.names {
		at, _ := slices.BinarySearch(names, name)
		result.Uploads = append(result.Uploads, s.listedUpload(p, entries[at]))
	}
	if l.more {
		result.NextKeyMarker, result.NextUploadIDMarker = nextMarker(names, l, func(i int) string { return entries[i].ID })
		result.NextKeyMarker = p.name(result.NextKeyMarker)
	}
	return writeXML(w, result)
}

func (s *Service) listedUpload(p page, u *upload) listedUpload {
	entry := listedUpload{
		Key: p.name(u.Key), UploadID: u.ID, Initiator: s.owner(), Owner: s.owner(),
		StorageClass: u.Draft.storageClass(), Initiated: stamp(u.Started),
	}
	if u.Algorithm != "" {
		entry.ChecksumAlgorithm, entry.ChecksumType = u.Algorithm, u.Type
	}
	return entry
}

// sortedUploads are a bucket's uploads, by key and then by start, and their
// names for a walk.
func (s *Service) sortedUploads(b *bucket) ([]*upload, []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var entries []*upload
	for _, u := range b.uploads {
		entries = append(entries, u)
	}
	slices.SortFunc(entries, func(a, b *upload) int {
		if by := strings.Compare(a.Key, b.Key); by != 0 {
			return by
		}
		return int(a.Sequence - b.Sequence)
	})
	var names []string
	place := 0
	for i, u := range entries {
		if place++; i == 0 || entries[i-1].Key != u.Key {
			place = 0
		}
		names = append(names, numbered(u.Key, place))
	}
	return entries, names
}

// numbered makes names of several things with one key: still sorted by key,
// and told apart. Requests for keys with a zero byte are refused.
func numbered(key string, place int) string {
	text := strconv.Itoa(place)
	return key + "\x00" + strings.Repeat("0", 10-len(text)) + text
}

func keyOf(name string) string {
	key, _, _ := strings.Cut(name, "\x00")
	return key
}

// markerOf is the numbered name to go on behind: that of the marked thing, or
// the last one with the key. A prefix that was told stands for itself.
func markerOf(names []string, key string, marked func(i int) bool) string {
	last := key
	for i, name := range names {
		if keyOf(name) != key {
			continue
		}
		if last = name; marked(i) {
			break
		}
	}
	return last
}

// nextMarker is what a page ended with.
func nextMarker(names []string, l listed, id func(i int) string) (key, marker string) {
	at, found := slices.BinarySearch(names, l.last)
	if !found {
		return l.last, "" // a common prefix
	}
	return keyOf(l.last), id(at)
}
