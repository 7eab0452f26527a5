package s3

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxMeta is how many bytes of user metadata an object may have.
const maxMeta = 2 << 10

// keptHeaders come back with the content as they were sent.
func keptHeaders() []string {
	return []string{
		"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
		"X-Amz-Website-Redirect-Location", "X-Amz-Storage-Class",
	}
}

// describe fills in what a request's header says about the object it makes.
func (o *object) describe(h http.Header) error {
	o.Header, o.Meta = map[string]string{}, map[string]string{}
	for _, name := range keptHeaders() {
		if value := h.Get(name); value != "" {
			o.Header[name] = value
		}
	}
	if o.Header["Content-Type"] == "" {
		o.Header["Content-Type"] = "binary/octet-stream"
	}
	if o.Header["X-Amz-Storage-Class"] == "STANDARD" {
		delete(o.Header, "X-Amz-Storage-Class")
	}
	o.dropChunkedEncoding()
	size := 0
	for name, values := range h {
		if meta, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			o.Meta[strings.ToLower(meta)] = strings.Join(values, ",")
			size += len(meta) + len(o.Meta[strings.ToLower(meta)])
		}
	}
	if size > maxMeta {
		return newError(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size").
			with("Size", strconv.Itoa(size)).with("MaxSizeAllowed", strconv.Itoa(maxMeta))
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Object-Lock-") {
			return invalidRequest("Bucket is missing Object Lock Configuration")
		}
	}
	if at := o.Header["X-Amz-Website-Redirect-Location"]; at != "" && !strings.HasPrefix(at, "/") &&
		!strings.HasPrefix(at, "http://") && !strings.HasPrefix(at, "https://") {
		return newError(http.StatusBadRequest, "InvalidRedirectLocation",
			"The website redirect location must have a prefix of 'http://' or 'https://' or '/'.")
	}
	var err error
	o.Tags, err = tagsOf(h.Get("X-Amz-Tagging"))
	return err
}

// dropChunkedEncoding takes away what only described the way here.
func (o *object) dropChunkedEncoding() {
	var kept []string
	for _, coding := range strings.Split(o.Header["Content-Encoding"], ",") {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "aws-chunked" {
			kept = append(kept, coding)
		}
	}
	if o.Header["Content-Encoding"] = strings.Join(kept, ","); len(kept) == 0 {
		delete(o.Header, "Content-Encoding")
	}
}

// describeAs takes another object's description over, as a copy does.
func (o *object) describeAs(from *object) {
	o.Meta = maps.Clone(from.Meta)
	o.Header = map[string]string{}
	for _, name := range keptHeaders() {
		if value := from.Header[name]; value != "" && name != "X-Amz-Website-Redirect-Location" {
			o.Header[name] = value
		}
	}
}

// tell writes what an object is into an answer's header. S3 sends the names
// of user metadata in small letters, and some clients care.
func (o *object) tell(h http.Header, query url.Values) {
	for name, value := range o.Header {
		h.Set(name, value)
	}
	for name, value := range o.Meta {
		h["x-amz-meta-"+name] = []string{value}
	}
	for _, name := range keptHeaders()[:6] {
		if value := query.Get("response-" + strings.ToLower(name)); value != "" {
			h.Set(name, value)
		}
	}
	h.Set("ETag", o.quotedETag())
	h.Set("Last-Modified", httpTime(o.Modified))
	h.Set("Accept-Ranges", "bytes")
	if len(o.Tags) > 0 {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(len(o.Tags)))
	}
}

func (o *object) storageClass() string {
	if class := o.Header["X-Amz-Storage-Class"]; class != "" {
		return class
	}
	return "STANDARD"
}
