package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

const bucket = "test-bucket"

// fixture is a service with one bucket and the real SDK in front of it.
type fixture struct {
	*testing.T
	*sdk.Client
	service *s3.Service
	url     string
}

func newFixture(t *testing.T, opts s3.Options) *fixture {
	t.Helper()
	service, err := s3.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	f := &fixture{T: t, service: service, url: server.URL, Client: sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials:                credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})}
	_, err = f.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String(bucket)})
	if err != nil && opts.Dir == "" {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) put(key, body string) *sdk.PutObjectOutput {
	f.Helper()
	out, err := f.PutObject(f.Context(), &sdk.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		f.Fatalf("putting %q: %v", key, err)
	}
	return out
}

func (f *fixture) get(key string) string {
	f.Helper()
	return f.read(&sdk.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
}

func (f *fixture) read(in *sdk.GetObjectInput) string {
	f.Helper()
	out, err := f.GetObject(context.Background(), in)
	if err != nil {
		f.Fatalf("getting %q: %v", *in.Key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		f.Fatalf("reading %q: %v", *in.Key, err)
	}
	return string(body)
}

// raw sends a request as it stands and returns status, header and body.
func (f *fixture) raw(method, path string, header map[string]string, body string) (*http.Response, string) {
	f.Helper()
	req, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp, string(text)
}

// wantCode fails unless err is the AWS error with that code and status.
func wantCode(t *testing.T, err error, code string, status int) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error = %v, want code %s", err, code)
		return
	}
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) && response.HTTPStatusCode() != status {
		t.Errorf("status of %s = %d, want %d", code, response.HTTPStatusCode(), status)
	}
}

func TestPutAndGet(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := newFixture(t, s3.Options{Dir: dir})
		in := &sdk.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("a/ü +key"), Body: strings.NewReader("hello"),
			CacheControl: aws.String("max-age=60"), ContentType: aws.String("text/css"), ContentEncoding: aws.String("identity"),
			Metadata: map[string]string{"Digest": "sha256:1"}, ServerSideEncryption: types.ServerSideEncryptionAes256,
		}
		put, err := f.PutObject(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if *put.ETag != `"5d41402abc4b2a76b9719d911017c592"` || aws.ToString(put.ChecksumCRC32) != "NhCmhg==" {
			t.Errorf("put answered ETag %s, CRC32 %s", *put.ETag, aws.ToString(put.ChecksumCRC32))
		}
		got, err := f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: in.Bucket, Key: in.Key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != "hello" {
			t.Errorf("body = %q, %v", body, err)
		}
		if *got.CacheControl != "max-age=60" || *got.ContentType != "text/css" || *got.ContentEncoding != "identity" ||
			got.Metadata["digest"] != "sha256:1" || got.ServerSideEncryption != "AES256" || got.ChecksumType != "FULL_OBJECT" {
			t.Errorf("get answered %+v", got)
		}
		_, err = f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: in.Bucket, Key: aws.String("absent")})
		wantCode(t, err, "NoSuchKey", 404)
		_, err = f.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: in.Bucket, Key: aws.String("absent")})
		wantCode(t, err, "NotFound", 404)
		_, err = f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String("nobody"), Key: aws.String("absent")})
		wantCode(t, err, "NoSuchBucket", 404)
	}
}

func TestRanges(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.put("key", "0123456789")
	f.put("empty", "")
	for _, test := range []struct {
		key, ranged, body, contentRange string
		status                          int
	}{
		{"key", "bytes=0-3", "0123", "bytes 0-3/10", 206},
		{"key", "bytes=4-", "456789", "bytes 4-9/10", 206},
		{"key", "bytes=-3", "789", "bytes 7-9/10", 206},
		{"key", "bytes=-30", "0123456789", "bytes 0-9/10", 206},
		{"key", "bytes=8-99", "89", "bytes 8-9/10", 206},
		{"key", "bytes=3-1", "0123456789", "", 200},
		{"key", "bytes=0-1,3-4", "0123456789", "", 200},
		{"key", "lines=1-2", "0123456789", "", 200},
		{"key", "bytes=10-", "InvalidRange", "bytes */10", 416},
		{"key", "bytes=-0", "InvalidRange", "bytes */10", 416},
		{"empty", "bytes=0-", "InvalidRange", "bytes */0", 416},
	} {
		resp, body := f.raw("GET", "/"+bucket+"/"+test.key, map[string]string{"Range": test.ranged}, "")
		if resp.StatusCode != test.status || !strings.Contains(body, test.body) || resp.Header.Get("Content-Range") != test.contentRange {
			t.Errorf("%s of %s = %d %q %q", test.ranged, test.key, resp.StatusCode, resp.Header.Get("Content-Range"), body)
		}
	}
}

func TestUnknownRequestsTouchNothing(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.put("key", "precious")
	for _, query := range []string{"acl", "retention", "legal-hold", "restore", "torrent", "somethingnew", "uploads&tagging", "renameObject"} {
		resp, body := f.raw("PUT", "/"+bucket+"/key?"+query, nil, "other")
		if resp.StatusCode != http.StatusNotImplemented || !strings.Contains(body, "<Code>NotImplemented</Code>") {
			t.Errorf("PUT ?%s = %d %s", query, resp.StatusCode, body)
		}
	}
	if resp, body := f.raw("PUT", "/"+bucket+"/key?partNumber=1", nil, "other"); resp.StatusCode != 400 {
		t.Errorf("PUT ?partNumber = %d %s", resp.StatusCode, body)
	}
	if resp, body := f.raw("PATCH", "/"+bucket+"/key", nil, "other"); resp.StatusCode != 405 {
		t.Errorf("PATCH = %d %s", resp.StatusCode, body)
	}
	if got := f.get("key"); got != "precious" {
		t.Errorf("object is now %q", got)
	}
}

func TestSlowDown(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.put("key", "x")
	f.service.SlowDown(2)
	for range 2 {
		_, err := f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
		wantCode(t, err, "SlowDown", 503)
	}
	if f.get("key") != "x" {
		t.Error("the third request was refused")
	}
}

func TestExpectedOwner(t *testing.T) {
	f := newFixture(t, s3.Options{Account: "111122223333"})
	f.put("key", "x")
	in := &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), ExpectedBucketOwner: aws.String("111122223333")}
	if got := f.read(in); got != "x" {
		t.Errorf("got %q", got)
	}
	in.ExpectedBucketOwner = aws.String("444455556666")
	_, err := f.GetObject(t.Context(), in)
	wantCode(t, err, "AccessDenied", 403)
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	changes := 0
	f := newFixture(t, s3.Options{Dir: dir, Changed: func() { changes++ }})
	f.put("kept", "one")
	f.put("kept", "two")
	f.put("gone", "three")
	if _, err := f.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("gone")}); err != nil {
		t.Fatal(err)
	}
	upload, err := f.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("big")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := f.UploadPart(t.Context(), &sdk.UploadPartInput{
		Bucket: aws.String(bucket), Key: aws.String("big"), UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if changes != 7 {
		t.Errorf("Changed was called %d times, want 7", changes)
	}

	again := newFixture(t, s3.Options{Dir: dir})
	if got := again.get("kept"); got != "two" {
		t.Errorf("kept = %q", got)
	}
	_, err = again.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("gone")})
	wantCode(t, err, "NotFound", 404)
	_, err = again.CompleteMultipartUpload(t.Context(), &sdk.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String("big"), UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	third := newFixture(t, s3.Options{Dir: dir})
	if got := third.get("big"); got != "part" {
		t.Errorf("big = %q", got)
	}
}

func TestSameContentUnderTwoKeys(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	f.put("a", "same")
	f.put("b", "same")
	f.put("a", "other")
	if got := f.get("b"); got != "same" {
		t.Errorf("b = %q", got)
	}
}

func TestBigBodyStaysWhole(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	big := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<18))
	f.put("big", big)
	if f.get("big") != big {
		t.Error("content changed on the way")
	}
}
