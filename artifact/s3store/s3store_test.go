package s3store_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/s3store"
	"github.com/wpbake/wpbake/artifact/storetest"
	locals3 "github.com/wpbake/wpbake/internal/localcloud/s3"
)

// place is a bucket of the local cloud and a client of it.
type place struct {
	client  *s3.Client
	faults  *faults
	service *locals3.Service
}

func newPlace(t *testing.T) place {
	t.Helper()
	service, err := locals3.New(locals3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	f := &faults{next: http.DefaultTransport}
	client := s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider("wpbake", "secret", ""),
		HTTPClient:                 &http.Client{Transport: f},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
	})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("releases")}); err != nil {
		t.Fatal(err)
	}
	return place{client: client, faults: f, service: service}
}

// faults is a transport that lets a request take effect and then loses or
// changes its answer.
type faults struct {
	next     http.RoundTripper
	lose     atomic.Int32 // answers to writes still to be lost
	conflict atomic.Int32 // writes still to be refused with 409
}

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	writes := r.Method == http.MethodPut || r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	if writes && f.conflict.Add(-1) >= 0 {
		io.Copy(io.Discard, r.Body)
		body := `<Error><Code>ConditionalRequestConflict</Code><Message>try again</Message></Error>`
		return &http.Response{StatusCode: 409, Header: http.Header{}, Request: r, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	resp, err := f.next.RoundTrip(r)
	if err == nil && writes && f.lose.Add(-1) >= 0 {
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) artifact.Store {
		return s3store.New(newPlace(t).client, "releases", "shop", "123456789012")
	})
}

func TestLostAnswerIsSuccess(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 17<<20)
	for name, content := range map[string][]byte{"small": []byte("ours"), "parts": large} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			store := s3store.New(p.client, "releases", "", "")
			p.faults.lose.Store(1)
			st, err := store.Put(t.Context(), "name", storetest.Body(content), artifact.Condition{Absent: true})
			if err != nil || st.ETag == "" {
				t.Fatalf("%+v, %v", st, err)
			}
			p.noUploads(t)
		})
	}
}

func TestConflictIsRepeated(t *testing.T) {
	p := newPlace(t)
	store := s3store.New(p.client, "releases", "", "")
	p.faults.conflict.Store(3)
	if _, err := store.Put(t.Context(), "name", storetest.Body([]byte("ours")), artifact.Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	p.faults.conflict.Store(100)
	if _, err := store.Put(t.Context(), "other", storetest.Body([]byte("ours")), artifact.Condition{Absent: true}); err == nil {
		t.Fatal("a write that is refused for ever succeeded")
	}
}

// noUploads demands that no multipart upload was left behind.
func (p place) noUploads(t *testing.T) {
	t.Helper()
	out, err := p.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("releases")})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Uploads) > 0 {
		t.Errorf("%d uploads left", len(out.Uploads))
	}
}

// failing is a body whose end cannot be read.
type failing struct{ *bytes.Reader }

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off > 10<<20 {
		return 0, errors.New("disk on fire")
	}
	return f.Reader.ReadAt(p, off)
}

func TestFailedUploadIsAborted(t *testing.T) {
	p := newPlace(t)
	store := s3store.New(p.client, "releases", "", "")
	content := make([]byte, 20<<20)
	body := storetest.Body(content)
	body.ReaderAt = failing{bytes.NewReader(content)}
	if _, err := store.Put(t.Context(), "name", body, artifact.Condition{Absent: true}); err == nil {
		t.Fatal("a body that cannot be read was stored")
	}
	if _, err := store.Get(t.Context(), "name", 0, -1); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	p.noUploads(t)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	p := newPlace(t)
	_, err := s3store.New(p.client, "nowhere", "", "").Put(t.Context(), "name", storetest.Body(nil), artifact.Condition{Absent: true})
	var e *s3store.Error
	if !errors.Is(err, artifact.ErrNoBucket) || !errors.As(err, &e) || !strings.Contains(e.Hint(), "aws s3 mb s3://nowhere") {
		t.Errorf("bucket missing: %v", err)
	}
	_, err = s3store.New(p.client, "releases", "", "999999999999").Get(t.Context(), "name", 0, -1)
	if !errors.Is(err, artifact.ErrDenied) {
		t.Errorf("bucket of another account: %v", err)
	}
}
