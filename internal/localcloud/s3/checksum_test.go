package s3_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
	"github.com/wpbake/wpbake/internal/wire"
)

func TestChecksumsOfPuts(t *testing.T) {
	f := newFixture(t, s3.Options{})
	path := "/" + bucket + "/key"
	for _, test := range []struct {
		name   string
		header map[string]string
		code   string // "" for success
		told   string // answer header with a sum
	}{
		{name: "none", told: "X-Amz-Checksum-Crc64nvme"},
		{name: "crc32", header: map[string]string{"X-Amz-Checksum-Crc32": "NhCmhg=="}, told: "X-Amz-Checksum-Crc32"},
		{name: "crc32c", header: map[string]string{"X-Amz-Checksum-Crc32c": "mnG7TA=="}, told: "X-Amz-Checksum-Crc32c"},
		{name: "sha1", header: map[string]string{"X-Amz-Checksum-Sha1": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}, told: "X-Amz-Checksum-Sha1"},
		{name: "sha256", header: map[string]string{"X-Amz-Checksum-Sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}, told: "X-Amz-Checksum-Sha256"},
		{name: "wrong", header: map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA=="}, code: "BadDigest"},
		{name: "no sum", header: map[string]string{"X-Amz-Checksum-Crc32": "hello"}, code: "InvalidRequest"},
		{name: "two", header: map[string]string{"X-Amz-Checksum-Crc32": "NhCmhg==", "X-Amz-Checksum-Crc32c": "mnG7TA=="}, code: "InvalidRequest"},
		{name: "unknown", header: map[string]string{"X-Amz-Checksum-Xxhash3": "AAAAAAAAAAA="}, code: "InvalidRequest"},
		{name: "only announced", header: map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"}, code: "InvalidRequest"},
		{name: "md5", header: map[string]string{"Content-Md5": "XUFAKrxLKna5cZ2REBfFkg=="}, told: "X-Amz-Checksum-Crc64nvme"},
		{name: "wrong md5", header: map[string]string{"Content-Md5": "XUFAKrxLKna5cZ2REBfFkQ=="}, code: "BadDigest"},
		{name: "no md5", header: map[string]string{"Content-Md5": "hello"}, code: "InvalidDigest"},
		{name: "wrong payload hash", header: map[string]string{"X-Amz-Content-Sha256": strings.Repeat("0", 64)}, code: "XAmzContentSHA256Mismatch"},
		{name: "trailer announced in a plain body", header: map[string]string{"X-Amz-Trailer": "x-amz-checksum-crc32"}, code: "MalformedTrailerError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.put("key", "before")
			resp, body := f.raw("PUT", path, test.header, "hello")
			want := "hello"
			if test.code != "" {
				want = "before"
			}
			if got := f.get("key"); got != want {
				t.Errorf("object is %q, want %q", got, want)
			}
			if test.code == "" && (resp.StatusCode != 200 || resp.Header.Get(test.told) == "") {
				t.Errorf("answered %d %v %s", resp.StatusCode, resp.Header, body)
			}
			if test.code != "" && !strings.Contains(body, "<Code>"+test.code+"</Code>") {
				t.Errorf("answered %d %s, want %s", resp.StatusCode, body, test.code)
			}
		})
	}
}

func TestChunkedPuts(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	for _, test := range []struct{ name, body, trailer, length, code string }{
		{"right", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "x-amz-checksum-crc32", "5", ""},
		{"wrong sum", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "x-amz-checksum-crc32", "5", "BadDigest"},
		{"sum missing", "5\r\nhello\r\n0\r\n\r\n", "x-amz-checksum-crc32", "5", "MalformedTrailerError"},
		{"no sum", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:hello\r\n\r\n", "x-amz-checksum-crc32", "5", "InvalidRequest"},
		{"too short", "5\r\nhello\r\n0\r\n\r\n", "", "6", "IncompleteBody"},
		{"too long", "5\r\nhello\r\n0\r\n\r\n", "", "4", "IncompleteBody"},
		{"cut", "5\r\nhel", "", "5", "IncompleteBody"},
		{"no length", "5\r\nhello\r\n0\r\n\r\n", "", "", "MissingContentLength"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.put("key", "before")
			header := map[string]string{
				"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding": "aws-chunked, gzip",
				"X-Amz-Decoded-Content-Length": test.length, "X-Amz-Trailer": test.trailer,
			}
			resp, body := f.raw("PUT", "/"+bucket+"/key", header, test.body)
			if test.code != "" {
				if !strings.Contains(body, "<Code>"+test.code+"</Code>") || f.get("key") != "before" {
					t.Errorf("answered %d %s; object %q", resp.StatusCode, body, f.get("key"))
				}
				return
			}
			got, err := f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(got.Body)
			if err != nil || string(text) != "hello" || *got.ContentEncoding != "gzip" {
				t.Errorf("answered %d %s; object %q in %s, %v", resp.StatusCode, body, text, *got.ContentEncoding, err)
			}
		})
	}
}

// TestOverTLS has the SDK stream a body of which it can not know the sum, with
// the trailer it uses only there.
func TestOverTLS(t *testing.T) {
	service, err := s3.New(s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(service)
	defer server.Close()
	client := sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, UsePathStyle: true, HTTPClient: server.Client(),
		Credentials:                credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
	})
	if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	body := pattern(200_000, 9)
	for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC32C", "CRC64NVME", "SHA256"} {
		_, err := client.PutObject(t.Context(), &sdk.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("key"), ChecksumAlgorithm: algorithm,
			Body: io.MultiReader(bytes.NewReader(body)), ContentLength: aws.Int64(int64(len(body))),
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), ChecksumMode: "ENABLED"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || !bytes.Equal(text, body) || got.ContentEncoding != nil {
			t.Errorf("%s: %d bytes, %v, encoding %v", algorithm, len(text), err, got.ContentEncoding)
		}
	}
}

const secret = "of-this-test"

// verified is the service as the local cloud serves it, behind signatures.
func verified(t *testing.T) *httptest.Server {
	t.Helper()
	service, err := s3.New(s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	service.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/"+bucket, nil))
	verifier := &wire.Verifier{Now: time.Now, Key: func(string) (wire.Key, bool) { return wire.Key{Secret: secret}, true }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signature, err := verifier.Verify(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		service.ServeHTTP(w, r.WithContext(wire.WithSignature(context.Background(), signature)))
	}))
	t.Cleanup(server.Close)
	return server
}

// signer makes signatures by hand: no SDK signs chunks any more, other
// clients do.
type signer struct {
	at       time.Time
	previous string
}

func (s *signer) scope() string { return s.at.Format("20060102") + "/eu-central-1/s3/aws4_request" }

func (s *signer) sign(lines ...string) string {
	key := []byte("AWS4" + secret)
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	for _, part := range strings.Split(s.scope(), "/") {
		key = mac(part)
	}
	s.previous = hex.EncodeToString(mac(strings.Join(lines, "\n")))
	return s.previous
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func crc32c(text string) string {
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

func (s *signer) chunk(data string) string {
	signature := s.sign("AWS4-HMAC-SHA256-PAYLOAD", s.at.Format("20060102T150405Z"), s.scope(), s.previous, hexSum(""), hexSum(data))
	head := fmt.Sprintf("%x;chunk-signature=%s\r\n", len(data), signature)
	if data == "" {
		return head
	}
	return head + data + "\r\n"
}

func (s *signer) trailer(name, value string) string {
	signature := s.sign("AWS4-HMAC-SHA256-TRAILER", s.at.Format("20060102T150405Z"), s.scope(), s.previous, hexSum(name+":"+value+"\n"))
	return name + ":" + value + "\r\nx-amz-trailer-signature:" + signature + "\r\n\r\n"
}

var (
	firstChunk  = strings.Repeat("hello ", 2000)
	secondChunk = strings.Repeat("world ", 2000)
)

// putChunks puts chunks with signatures, spoiling some of the body first.
func putChunks(t *testing.T, server *httptest.Server, spoil func(string) string) (int, string) {
	t.Helper()
	s := &signer{at: time.Now().UTC()}
	header := map[string]string{
		"host": strings.TrimPrefix(server.URL, "http://"), "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		"x-amz-date": s.at.Format("20060102T150405Z"), "x-amz-decoded-content-length": strconv.Itoa(len(firstChunk + secondChunk)), "x-amz-trailer": "x-amz-checksum-crc32c",
	}
	names := []string{"host", "x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-trailer"}
	canonical := "PUT\n/" + bucket + "/key\n\n"
	for _, name := range names {
		canonical += name + ":" + header[name] + "\n"
	}
	canonical += "\n" + strings.Join(names, ";") + "\n" + header["x-amz-content-sha256"]
	seed := s.sign("AWS4-HMAC-SHA256", header["x-amz-date"], s.scope(), hexSum(canonical))
	body := s.chunk(firstChunk) + s.chunk(secondChunk) + s.chunk("") + s.trailer("x-amz-checksum-crc32c", crc32c(firstChunk+secondChunk))
	req, err := http.NewRequest("PUT", server.URL+"/"+bucket+"/key", strings.NewReader(spoil(body)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names[1:] {
		req.Header.Set(name, header[name])
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=wpbake/%s,SignedHeaders=%s,Signature=%s",
		s.scope(), strings.Join(names, ";"), seed))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestSignedChunks(t *testing.T) {
	server := verified(t)
	same := func(s string) string { return s }
	if status, text := putChunks(t, server, same); status != 200 {
		t.Errorf("signed chunks answered %d %s", status, text)
	}
	for name, spoil := range map[string]func(string) string{
		"data":    func(s string) string { return strings.Replace(s, "world", "w0rld", 1) },
		"trailer": func(s string) string { return strings.Replace(s, crc32c(firstChunk+secondChunk), "yZRlqQ==", 1) },
		"order": func(s string) string {
			second, last := strings.Index(s, "\r\n2ee0;")+2, strings.Index(s, "\r\n0;")+2
			return s[second:last] + s[:second] + s[last:]
		},
	} {
		if status, text := putChunks(t, server, spoil); status != 403 || !strings.Contains(text, "SignatureDoesNotMatch") {
			t.Errorf("other %s answered %d %s", name, status, text)
		}
	}
}

func TestPresigned(t *testing.T) {
	server := verified(t)
	client := sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("wpbake", secret, ""),
	})
	presign := sdk.NewPresignClient(client)
	put, err := presign.PresignPutObject(t.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), Metadata: map[string]string{"by": "link"}, StorageClass: "STANDARD_IA",
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("PUT", put.URL, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range put.SignedHeader {
		if name != "Host" {
			req.Header[name] = values
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	got, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || *got.ContentLength != 5 || got.Metadata["by"] != "link" || got.StorageClass != "STANDARD_IA" {
		t.Errorf("put answered %d, object is %+v, %v", resp.StatusCode, got, err)
	}
}
