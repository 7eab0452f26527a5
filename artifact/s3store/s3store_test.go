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
	lose     atomic.Int32                                // answers to writes still to be lost
	conflict atomic.Int32                                // writes still to be refused with 409
	complete func(*http.Request) (*http.Response, error) // takes completions of uploads
}

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	writes := r.Method == http.MethodPut || r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	if f.complete != nil && r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
		return f.complete(r)
	}
	if writes && f.conflict.Add(-1) >= 0 {
		return answer(r, 409, "ConditionalRequestConflict")
	}
	resp, err := f.next.RoundTrip(r)
	if err == nil && writes && f.lose.Add(-1) >= 0 {
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

// answer is S3's refusal of a request that never took effect.
func answer(r *http.Request, status int, code string) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
	}
	body := "<Error><Code>" + code + "</Code><Message>as the test wants</Message></Error>"
	return &http.Response{StatusCode: status, Header: http.Header{"X-Amz-Request-Id": {"R1"}}, Request: r,
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) artifact.Store {
		return s3store.New(newPlace(t).client, "releases", "shop", "123456789012")
	})
	storetest.Releases(t, func(t *testing.T) artifact.ReleaseStore {
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
	p.faults.conflict.Store(3)
	if _, err := store.Put(t.Context(), "parts", storetest.Body(make([]byte, 17<<20)), artifact.Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	p.noUploads(t)
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

// The completion of an upload takes effect, its answer is lost, and the SDK's
// repetition finds neither the upload nor its condition met.
func TestLostCompletion(t *testing.T) {
	for name, cond := range map[string]artifact.Condition{"absent": {Absent: true}, "unconditional": {}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			store := s3store.New(p.client, "releases", "", "")
			lost := 0
			p.faults.complete = func(r *http.Request) (*http.Response, error) {
				resp, err := p.faults.next.RoundTrip(r)
				if lost++; err == nil && lost == 1 {
					resp.Body.Close()
					return nil, errors.New("connection reset by peer")
				}
				return resp, err
			}
			st, err := store.Put(t.Context(), "name", storetest.Body(make([]byte, 17<<20)), cond)
			if err != nil || st.ETag == "" || lost < 2 {
				t.Fatalf("%+v, %v after %d completions", st, err, lost)
			}
			p.noUploads(t)
		})
	}
}

// S3 may answer 200 to a completion and put an error into the body.
func TestCompletionFailsWith200(t *testing.T) {
	p := newPlace(t)
	store := s3store.New(p.client, "releases", "", "")
	refused := 0
	p.faults.complete = func(r *http.Request) (*http.Response, error) {
		if refused++; refused == 1 {
			return answer(r, 200, "InternalError")
		}
		return p.faults.next.RoundTrip(r)
	}
	content := bytes.Repeat([]byte("x"), 17<<20)
	if _, err := store.Put(t.Context(), "name", storetest.Body(content), artifact.Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	if o, err := store.Get(t.Context(), "name", 0, 0); err != nil || o.Size != int64(len(content)) || refused < 2 {
		t.Errorf("%+v, %v after %d completions", o, err, refused)
	}
}

func TestKindsOfErrors(t *testing.T) {
	for code, want := range map[string]error{
		"ExpiredToken": artifact.ErrCredentials, "ExpiredTokenException": artifact.ErrCredentials,
		"InvalidAccessKeyId": artifact.ErrCredentials, "SignatureDoesNotMatch": artifact.ErrCredentials,
		"AccessDenied": artifact.ErrDenied, "NoSuchBucket": artifact.ErrNoBucket,
	} {
		client := s3.New(s3.Options{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1"), UsePathStyle: true,
			Credentials: credentials.NewStaticCredentialsProvider("wpbake", "very-secret", "session-token"),
			HTTPClient: clientFunc(func(r *http.Request) (*http.Response, error) {
				return answer(r, 403, code)
			}),
		})
		_, err := s3store.New(client, "releases", "shop", "").Get(t.Context(), "name", 0, -1)
		var e *s3store.Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Code != code || e.RequestID != "R1" || e.Hint() == "" {
			t.Errorf("%s: %#v", code, err)
			continue
		}
		for _, secret := range []string{"very-secret", "session-token"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v tells a secret", code, err)
			}
		}
		if want := `getting "s3://releases/shop/name": ` + code; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }
