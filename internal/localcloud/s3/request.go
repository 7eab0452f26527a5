package s3

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// request is an HTTP request read as S3 reads it.
type request struct {
	*http.Request
	bucket, key string
	query       url.Values
	resource    string // sub-resource, such as "tagging"; "" for the thing itself
}

type handler func(http.ResponseWriter, *request) error

// maxKey is how many bytes a key may have.
const maxKey = 1024

func parseRequest(r *http.Request) (*request, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalidArgument("query", r.URL.RawQuery, "The query string is malformed.")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if strings.Contains(key, "\x00") { // listings tell versions of a key apart by it
		return nil, newError(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.").with("URI", r.URL.EscapedPath())
	}
	if len(key) > maxKey {
		return nil, newError(http.StatusBadRequest, "KeyTooLongError", "Your key is too long").
			with("Size", strconv.Itoa(len(key))).with("MaxSizeAllowed", strconv.Itoa(maxKey))
	}
	req := &request{Request: r, bucket: bucket, key: key, query: query}
	req.lowerPresigned()
	for name := range query {
		if plainParameter(name) {
			continue
		}
		if req.resource != "" {
			return nil, notImplemented("query", r.URL.RawQuery)
		}
		req.resource = name
	}
	return req, nil
}

// lowerPresigned makes headers of the x-amz parameters that a signer hoisted
// into a presigned URL.
func (r *request) lowerPresigned() {
	if !r.query.Has("X-Amz-Signature") {
		return
	}
	clone := *r.Request
	clone.Header = r.Header.Clone()
	r.Request = &clone
	for name, values := range r.query {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !signingParameter(lower) && clone.Header.Get(name) == "" {
			clone.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
}

func signingParameter(lower string) bool {
	switch lower {
	case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders",
		"x-amz-signature", "x-amz-security-token":
		return true
	}
	return false
}

// plainParameter reports whether a query parameter refines a request. Every
// other one names a sub-resource: one that nobody thought of here must not be
// mistaken for a plain PutObject.
func plainParameter(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "x-amz-") || strings.HasPrefix(name, "response-") {
		return true
	}
	return slices.Contains([]string{
		"x-id", "versionId", "partNumber", "list-type", "prefix", "delimiter", "marker", "max-keys",
		"encoding-type", "start-after", "continuation-token", "fetch-owner", "key-marker", "version-id-marker",
		"upload-id-marker", "max-uploads", "max-parts", "part-number-marker", "max-buckets", "bucket-region",
		"allow-unordered",
	}, name)
}

// level says what a path names.
func (r *request) level() string {
	switch {
	case r.bucket == "":
		return "service"
	case r.key == "":
		return "bucket"
	}
	return "object"
}

// table has every served request by method, level and sub-resource.
func (s *Service) table() map[string]handler {
	return map[string]handler{
		"GET service":   s.listBuckets,
		"PUT bucket":    s.createBucket,
		"HEAD bucket":   s.headBucket,
		"DELETE bucket": s.deleteBucket,
		"GET bucket":    s.listObjects,

		"GET bucket?location":             s.getLocation,
		"GET bucket?versions":             s.listVersions,
		"GET bucket?uploads":              s.listUploads,
		"POST bucket?delete":              s.deleteObjects,
		"GET bucket?versioning":           s.getVersioning,
		"PUT bucket?versioning":           s.putVersioning,
		"GET bucket?policy":               s.getPolicy,
		"PUT bucket?policy":               s.putPolicy,
		"DELETE bucket?policy":            s.deleteSetting,
		"GET bucket?tagging":              s.getSetting,
		"PUT bucket?tagging":              s.putSetting,
		"DELETE bucket?tagging":           s.deleteSetting,
		"GET bucket?lifecycle":            s.getSetting,
		"PUT bucket?lifecycle":            s.putSetting,
		"DELETE bucket?lifecycle":         s.deleteSetting,
		"GET bucket?encryption":           s.getSetting,
		"PUT bucket?encryption":           s.putSetting,
		"DELETE bucket?encryption":        s.deleteSetting,
		"GET bucket?ownershipControls":    s.getSetting,
		"PUT bucket?ownershipControls":    s.putSetting,
		"DELETE bucket?ownershipControls": s.deleteSetting,
		"GET bucket?publicAccessBlock":    s.getSetting,
		"PUT bucket?publicAccessBlock":    s.putSetting,
		"DELETE bucket?publicAccessBlock": s.deleteSetting,

		"PUT object":             s.putObject,
		"GET object":             s.getObject,
		"HEAD object":            s.getObject,
		"DELETE object":          s.deleteObject,
		"GET object?attributes":  s.getAttributes,
		"GET object?tagging":     s.getTagging,
		"PUT object?tagging":     s.putTagging,
		"DELETE object?tagging":  s.deleteTagging,
		"POST object?uploads":    s.createUpload,
		"PUT object?uploadId":    s.uploadPart,
		"GET object?uploadId":    s.listParts,
		"POST object?uploadId":   s.completeUpload,
		"DELETE object?uploadId": s.abortUpload,
	}
}

func (s *Service) route(r *request) (handler, error) {
	if handle := s.routes[r.name()]; handle != nil {
		return handle, nil
	}
	if r.resource != "" {
		return nil, notImplemented("query", r.resource)
	}
	return nil, newError(http.StatusMethodNotAllowed, "MethodNotAllowed",
		"The specified method is not allowed against this resource.").
		with("Method", r.Method).with("ResourceType", strings.ToUpper(r.level()))
}

// number reads an integer parameter between 0 and most; larger ones are cut.
func (r *request) number(name string, otherwise, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, invalidArgument(name, text, fmt.Sprintf("Provided %s not an integer or within integer range", name))
	}
	return min(int(n), most), nil
}
