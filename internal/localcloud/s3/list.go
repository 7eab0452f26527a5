package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxPage is the most that one listing names.
const maxPage = 1000

// page asks for the names behind a marker, rolled up at a delimiter.
type page struct {
	prefix, delimiter, marker string
	most                      int
	encode                    bool // names percent-encoded
}

// pageOf reads the parameters that all listings share; limit names the one
// that bounds it.
func pageOf(r *request, limit string) (page, error) {
	p := page{prefix: r.query.Get("prefix"), delimiter: r.query.Get("delimiter")}
	switch encoding := r.query.Get("encoding-type"); encoding {
	case "":
	case "url":
		p.encode = true
	default:
		return p, invalidArgument("encoding-type", encoding, "Invalid Encoding Method specified in Request")
	}
	var err error
	p.most, err = r.number(limit, maxPage, maxPage)
	return p, err
}

// listed is what a page has: names and the prefixes that others are under.
type listed struct {
	names    []string
	prefixes []string
	more     bool
	last     string // the last name or prefix
}

// walk lists sorted names, leaving out those that keep refuses.
func (p page) walk(names []string, keep func(name string) bool) listed {
	var l listed
	at := p.start(names)
	for at < len(names) && strings.HasPrefix(names[at], p.prefix) {
		name := names[at]
		if !keep(name) {
			at++
			continue
		}
		group := p.group(name)
		if group != "" && group == p.marker { // told on the page before
			at = behind(names, group)
			continue
		}
		if len(l.names)+len(l.prefixes) == p.most {
			l.more = p.most > 0
			return l
		}
		if group == "" {
			l.names, l.last = append(l.names, name), name
			at++
			continue
		}
		l.prefixes, l.last = append(l.prefixes, group), group
		at = behind(names, group)
	}
	return l
}

// start is the first name behind the marker and under the prefix.
func (p page) start(names []string) int {
	at, found := slices.BinarySearch(names, p.marker)
	if found {
		at++
	}
	under, _ := slices.BinarySearch(names, p.prefix)
	return max(at, under)
}

// group is the common prefix that a name's key is under, "" for none.
func (p page) group(name string) string {
	if p.delimiter == "" {
		return ""
	}
	if head, _, ok := strings.Cut(keyOf(name)[len(p.prefix):], p.delimiter); ok {
		return p.prefix + head + p.delimiter
	}
	return ""
}

// behind is the first name that is not under prefix.
func behind(names []string, prefix string) int {
	at, _ := slices.BinarySearchFunc(names, prefix, func(name, prefix string) int {
		if strings.HasPrefix(name, prefix) {
			return -1
		}
		return strings.Compare(name, prefix)
	})
	return at
}

// name encodes a name as the page asked.
func (p page) name(s string) string {
	if !p.encode {
		return s
	}
	return strings.NewReplacer("+", "%20", "%2F", "/", "%2A", "*").Replace(url.QueryEscape(s))
}

func (p page) encoding() string {
	if p.encode {
		return "url"
	}
	return ""
}

type commonPrefix struct{ Prefix string }

func (p page) commonPrefixes(l listed) []commonPrefix {
	var all []commonPrefix
	for _, prefix := range l.prefixes {
		all = append(all, commonPrefix{p.name(prefix)})
	}
	return all
}

// token makes an opaque continuation token of a name.
func token(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func readToken(t string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil {
		return "", invalidArgument("continuation-token", t, "The continuation token provided is incorrect")
	}
	return string(name), nil
}

type listedObject struct {
	Key               string
	LastModified      stamp
	ETag              string
	ChecksumAlgorithm string
	ChecksumType      string
	Size              int64
	Owner             *person `xml:",omitempty"`
	StorageClass      string
}

type listBucketResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"` // of the first version of the call, as is the next
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []listedObject
	CommonPrefixes        []commonPrefix
}

func (s *Service) listObjects(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	p, err := pageOf(r, "max-keys")
	if err != nil {
		return err
	}
	switch version := r.query.Get("list-type"); {
	case version == "2":
		return s.listV2(w, r, b, p)
	case version != "":
		return invalidArgument("list-type", version, "Invalid List Type specified in Request")
	}
	p.marker = r.query.Get("marker")
	l, contents := s.objects(b, p, true)
	marker := p.name(p.marker)
	result := p.result(b, l, contents)
	result.Marker = &marker
	if l.more && p.delimiter != "" {
		result.NextMarker = p.name(l.last)
	}
	return writeXML(w, result)
}

func (s *Service) listV2(w http.ResponseWriter, r *request, b *bucket, p page) error {
	p.marker = r.query.Get("start-after")
	given := r.query.Get("continuation-token")
	if r.query.Has("continuation-token") {
		var err error
		if p.marker, err = readToken(given); err != nil || p.marker == "" {
			return invalidArgument("continuation-token", given, "The continuation token provided is incorrect")
		}
	}
	l, contents := s.objects(b, p, r.query.Get("fetch-owner") == "true")
	count := len(l.names) + len(l.prefixes)
	result := p.result(b, l, contents)
	result.StartAfter = p.name(r.query.Get("start-after"))
	result.ContinuationToken = given
	result.KeyCount = &count
	if l.more {
		result.NextContinuationToken = token(l.last)
	}
	return writeXML(w, result)
}

func (p page) result(b *bucket, l listed, contents []listedObject) listBucketResult {
	return listBucketResult{
		Name: b.Name, Prefix: p.name(p.prefix), Delimiter: p.name(p.delimiter), MaxKeys: p.most,
		EncodingType: p.encoding(), IsTruncated: l.more, Contents: contents, CommonPrefixes: p.commonPrefixes(l),
	}
}

// objects is a page of a bucket's current objects.
func (s *Service) objects(b *bucket, p page, owners bool) (listed, []listedObject) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := p.walk(b.keys, func(key string) bool { return b.objects[key].current() != nil })
	var contents []listedObject
	for _, key := range l.names {
		o := b.objects[key].current()
		entry := listedObject{
			Key: p.name(key), LastModified: stamp(o.Modified), ETag: o.quotedETag(), Size: o.Size,
			ChecksumAlgorithm: o.Checksum.Algorithm, ChecksumType: o.Checksum.Type, StorageClass: o.storageClass(),
		}
		if owners {
			owner := s.owner()
			entry.Owner = &owner
		}
		contents = append(contents, entry)
	}
	return l, contents
}
