package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"

	"github.com/wpbake/wpbake/internal/wire"
)

// apiError is an error as S3 answers it.
type apiError struct {
	status  int
	code    string
	message string
	details []detail
	header  http.Header
}

type detail struct{ name, value string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

func newError(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

// with adds an element to a copy of the error.
func (e *apiError) with(name, value string) *apiError {
	c := *e
	c.details = append(append([]detail(nil), e.details...), detail{name, value})
	return &c
}

// sending adds a header to a copy of the error's answer.
func (e *apiError) sending(name, value string) *apiError {
	c := *e
	if c.header = e.header.Clone(); c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set(name, value)
	return &c
}

var (
	errAccessDenied     = newError(http.StatusForbidden, "AccessDenied", "Access Denied")
	errSlowDown         = newError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	errMalformedXML     = newError(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	errIncompleteBody   = newError(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
	errIncompleteChunks = newError(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
	errChunkSize        = newError(http.StatusForbidden, "InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than 8192 bytes")
	errNoLength         = newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	errTooLarge         = newError(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	errMalformedTrailer = newError(http.StatusBadRequest, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	errBadSignature     = newError(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	errNotModified      = newError(http.StatusNotModified, "NotModified", "Not Modified")
)

func noSuchBucket(name string) *apiError {
	return newError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
}

func noSuchKey(key string) *apiError {
	return newError(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.").with("Key", key)
}

func noSuchVersion(key, version string) *apiError {
	return newError(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.").
		with("Key", key).with("VersionId", version)
}

func invalidRequest(message string) *apiError {
	return newError(http.StatusBadRequest, "InvalidRequest", message)
}

func invalidArgument(name, value, message string) *apiError {
	return newError(http.StatusBadRequest, "InvalidArgument", message).
		with("ArgumentName", name).with("ArgumentValue", value)
}

func notImplemented(kind, name string) *apiError {
	return newError(http.StatusNotImplemented, "NotImplemented",
		"A "+kind+" you provided implies functionality that is not implemented").with("Header", name)
}

func preconditionFailed(condition string) *apiError {
	return newError(http.StatusPreconditionFailed, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold").with("Condition", condition)
}

// writeError answers err. What is none of S3's own errors is an InternalError.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	var api *apiError
	var shared *wire.Error
	switch {
	case errors.As(err, &api):
	case errors.As(err, &shared):
		api = newError(max(shared.Status, http.StatusBadRequest), shared.Code, shared.Message)
	default:
		api = newError(http.StatusInternalServerError, "InternalError", err.Error())
	}
	for name, values := range api.header {
		w.Header()[name] = values
	}
	if r.Method == http.MethodHead || api.status == http.StatusNotModified {
		w.WriteHeader(api.status)
		return
	}
	body := api.body(w.Header().Get("X-Amz-Request-Id"))
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(api.status)
	_, _ = w.Write(body)
}

func (e *apiError) body(id string) []byte {
	var b bytes.Buffer
	b.WriteString(xmlHeader + "<Error>")
	all := append([]detail{{"Code", e.code}, {"Message", e.message}}, e.details...)
	for _, d := range append(all, detail{"RequestId", id}, detail{"HostId", id}) {
		b.WriteString("<" + d.name + ">")
		_ = xml.EscapeText(&b, []byte(d.value))
		b.WriteString("</" + d.name + ">")
	}
	b.WriteString("</Error>")
	return b.Bytes()
}
