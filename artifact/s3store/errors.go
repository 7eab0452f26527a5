package s3store

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/artifact"
)

// Answers that Put resolves itself.
var (
	errPrecondition = errors.New("precondition failed")
	errConflict     = errors.New("another write is under way")
	errNoUpload     = errors.New("no such multipart upload")
)

// Error is S3's answer to a call that failed.
type Error struct {
	Doing     string // such as "getting"
	URL       string // s3://bucket/key, without credentials
	Code      string // S3's, empty when no answer came
	RequestID string
	Bucket    string
	Kind      error // one of artifact's errors, or nil
	Err       error
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s %q: %v", e.Doing, e.URL, e.Err)
	}
	text := fmt.Sprintf("%s %q: %s", e.Doing, e.URL, e.Code)
	var api smithy.APIError
	if errors.As(e.Err, &api) && api.ErrorMessage() != "" {
		text += ": " + api.ErrorMessage()
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Unwrap gives the kind to errors.Is and the SDK's error to errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to run next.
func (e *Error) Hint() string {
	switch e.Kind {
	case artifact.ErrNoBucket:
		return "aws s3 mb s3://" + e.Bucket + ", or correct the store's URL"
	case artifact.ErrCredentials:
		return "renew the credentials, then the same command again"
	case artifact.ErrDenied:
		return "allow the action on s3://" + e.Bucket + " for these credentials"
	}
	return ""
}

// kinds maps S3's codes to what a caller can ask for.
var kinds = map[string]error{
	"NoSuchKey":                  artifact.ErrNotFound,
	"NotFound":                   artifact.ErrNotFound,
	"NoSuchBucket":               artifact.ErrNoBucket,
	"AccessDenied":               artifact.ErrDenied,
	"Forbidden":                  artifact.ErrDenied,
	"ExpiredToken":               artifact.ErrCredentials,
	"ExpiredTokenException":      artifact.ErrCredentials,
	"InvalidAccessKeyId":         artifact.ErrCredentials,
	"InvalidToken":               artifact.ErrCredentials,
	"SignatureDoesNotMatch":      artifact.ErrCredentials,
	"PreconditionFailed":         errPrecondition,
	"ConditionalRequestConflict": errConflict,
	"OperationAborted":           errConflict,
	"NoSuchUpload":               errNoUpload,
}

func (s *Store) fail(doing, name string, err error) error {
	if said := (*Error)(nil); errors.As(err, &said) {
		return err
	}
	e := &Error{Doing: doing, URL: "s3://" + s.bucket + "/" + s.prefix + name, Bucket: s.bucket, Err: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code = api.ErrorCode()
		e.Kind = kinds[e.Code]
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		e.RequestID = resp.ServiceRequestID()
		if e.Kind == nil && resp.HTTPStatusCode() == http.StatusPreconditionFailed {
			e.Kind = errPrecondition
		}
	}
	return e
}
