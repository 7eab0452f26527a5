package s3

import (
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// copied is the answer to a copy, of an object or into a part.
type copied struct {
	ETag         string
	LastModified stamp
	checksumElements
}

// checksumElements are a checksum as XML elements; at most one value is set.
type checksumElements struct {
	CRC32     string `xml:"ChecksumCRC32,omitempty"`
	CRC32C    string `xml:"ChecksumCRC32C,omitempty"`
	CRC64NVME string `xml:"ChecksumCRC64NVME,omitempty"`
	SHA1      string `xml:"ChecksumSHA1,omitempty"`
	SHA256    string `xml:"ChecksumSHA256,omitempty"`
	Type      string `xml:"ChecksumType,omitempty"`
}

func elementsOf(c checksum) checksumElements {
	e := checksumElements{Type: c.Type}
	if field := e.field(c.Algorithm); field != nil {
		*field = c.Value
	}
	return e
}

func (e *checksumElements) field(algorithm string) *string {
	switch algorithm {
	case "CRC32":
		return &e.CRC32
	case "CRC32C":
		return &e.CRC32C
	case "CRC64NVME":
		return &e.CRC64NVME
	case "SHA1":
		return &e.SHA1
	case "SHA256":
		return &e.SHA256
	}
	return nil
}

// source is what a copy is made of.
type source struct {
	bucket, key string
	object      *object
	content     *content
}

// openSource opens what x-amz-copy-source names, holding it against the
// conditions that go with it. The caller closes its content.
func (s *Service) openSource(w http.ResponseWriter, r *request) (source, error) {
	if owner := r.Header.Get("X-Amz-Source-Expected-Bucket-Owner"); owner != "" && owner != s.account {
		return source{}, errAccessDenied
	}
	text := r.Header.Get("X-Amz-Copy-Source")
	path, query, _ := strings.Cut(text, "?")
	name, err := url.PathUnescape(path)
	values, queryErr := url.ParseQuery(query)
	bucketName, key, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if err != nil || queryErr != nil {
		return source{}, invalidArgument("x-amz-copy-source", text, "Invalid copy source encoding")
	}
	if !ok || key == "" {
		return source{}, invalidArgument("x-amz-copy-source", text, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	b, err := s.bucketNamed(bucketName)
	if err != nil {
		return source{}, err
	}
	o, content, err := s.open(b, &request{Request: r.Request, bucket: bucketName, key: key, query: values})
	if err != nil {
		return source{}, err
	}
	if err := (readCondition{r.Header, "X-Amz-Copy-Source-"}).check(o); err != nil {
		content.Close()
		return source{}, err
	}
	if s.setting(b, "versioning") != "" {
		w.Header().Set("X-Amz-Copy-Source-Version-Id", o.Version)
	}
	return source{bucketName, key, o, content}, nil
}

// receiveCopy takes a stretch of a source in as a blob that is held once.
func (s *Service) receiveCopy(from io.Reader, size int64, algorithms ...string) (sums, error) {
	return s.receive(&body{reader: from, size: size}, algorithms...)
}

func (s *Service) copyObject(w http.ResponseWriter, r *request) error {
	if err := refuseParameters(r, "partNumber", "versionId"); err != nil {
		return err
	}
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	condition, err := writeConditionOf(r.Header)
	if err != nil {
		return err
	}
	from, err := s.openSource(w, r)
	if err != nil {
		return err
	}
	defer from.content.Close()
	if from.object.Size > maxBody {
		return invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	o, sse, err := s.copyOf(r, b, from)
	if err != nil {
		return err
	}
	algorithm := strings.ToUpper(cmp.Or(r.Header.Get("X-Amz-Checksum-Algorithm"), from.object.Checksum.Algorithm))
	if newHash(algorithm) == nil {
		return invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	found, err := s.receiveCopy(from.content.slice(0, from.object.Size), from.object.Size, algorithm)
	if err != nil {
		return err
	}
	o.fill(found, sse)
	o.Checksum = checksum{algorithm, fullObject, found.values[algorithm]}
	if err := s.store(b, r.key, o, condition); err != nil {
		return err
	}
	s.tellVersion(w.Header(), b, o)
	tellEncryption(w.Header(), o.Header)
	return writeXML(w, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		copied
	}{copied: copied{o.quotedETag(), stamp(o.Modified), elementsOf(o.Checksum)}})
}

// copyOf describes the object that a copy makes, as its directives say.
func (s *Service) copyOf(r *request, b *bucket, from source) (*object, encryption, error) {
	o := &object{}
	if err := o.describe(r.Header); err != nil {
		return nil, encryption{}, err
	}
	class, tags := o.Header["X-Amz-Storage-Class"], o.Tags
	replace, err := directive(r.Header, "X-Amz-Metadata-Directive")
	if err != nil {
		return nil, encryption{}, err
	}
	if !replace {
		o.describeAs(from.object)
		delete(o.Header, "X-Amz-Storage-Class")
		if class != "" {
			o.Header["X-Amz-Storage-Class"] = class
		}
	}
	retag, err := directive(r.Header, "X-Amz-Tagging-Directive")
	if err != nil {
		return nil, encryption{}, err
	}
	if o.Tags = from.object.Tags; retag {
		o.Tags = tags
	}
	if !replace && selfCopy(r, from) {
		return nil, encryption{}, invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	sse, err := s.encryptionFor(r, b)
	sse.keep(o.Header)
	return o, sse, err
}

func selfCopy(r *request, from source) bool {
	for _, name := range []string{"X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location", sseHeader} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return from.bucket == r.bucket && from.key == r.key && !strings.Contains(r.Header.Get("X-Amz-Copy-Source"), "versionId=")
}

// directive reads COPY or REPLACE.
func directive(h http.Header, name string) (replace bool, err error) {
	switch value := h.Get(name); value {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, invalidArgument(strings.ToLower(name), value, "Unknown "+strings.ToLower(strings.Split(name, "-")[2])+" directive.")
	}
}
