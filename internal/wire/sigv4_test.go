package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"
)

func signedAt() time.Time { return time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC) }

func verifierAt(now time.Time) *Verifier {
	return &Verifier{
		Now: func() time.Time { return now },
		Key: func(accessKey string) (Key, bool) {
			keys := map[string]Key{
				"long":  {Secret: "secret"},
				"role":  {Secret: "other", Token: "token", Expires: signedAt().Add(time.Hour)},
				"ended": {Secret: "other", Token: "token", Expires: signedAt().Add(-time.Hour)},
			}
			key, ok := keys[accessKey]
			return key, ok
		},
	}
}

// sign signs as the SDK does and gives the request as a server gets it.
func sign(t testing.TB, credentials aws.Credentials, service, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:4599"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	if service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	r.Header.Set("X-Amz-Meta-Spaces", "  a   b ")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err := signer.SignHTTP(context.Background(), credentials, r, hash, service, "eu-central-1", signedAt()); err != nil {
		t.Fatal(err)
	}
	served := httptest.NewRequest(r.Method, target, strings.NewReader(body))
	served.Host, served.Header = r.URL.Host, r.Header
	return served
}

func TestVerifyAnswersAsAWSDoes(t *testing.T) {
	long := aws.Credentials{AccessKeyID: "long", SecretAccessKey: "secret"}
	for _, test := range []struct {
		name, service string
		credentials   aws.Credentials
		late          time.Duration
		want          string // code, "" for verified
	}{
		{"right", "ec2", long, 0, ""},
		{"right, s3", "s3", long, 0, ""},
		{"role", "ec2", aws.Credentials{AccessKeyID: "role", SecretAccessKey: "other", SessionToken: "token"}, 0, ""},
		{"wrong secret", "ec2", aws.Credentials{AccessKeyID: "long", SecretAccessKey: "wrong"}, 0, "SignatureDoesNotMatch"},
		{"wrong secret, s3", "s3", aws.Credentials{AccessKeyID: "long", SecretAccessKey: "wrong"}, 0, "SignatureDoesNotMatch"},
		{"wrong secret, ssm", "ssm", aws.Credentials{AccessKeyID: "long", SecretAccessKey: "wrong"}, 0, "InvalidSignatureException"},
		{"unknown key", "autoscaling", aws.Credentials{AccessKeyID: "x", SecretAccessKey: "secret"}, 0, "InvalidClientTokenId"},
		{"unknown key, s3", "s3", aws.Credentials{AccessKeyID: "x", SecretAccessKey: "secret"}, 0, "InvalidAccessKeyId"},
		{"wrong token", "sts", aws.Credentials{AccessKeyID: "role", SecretAccessKey: "other", SessionToken: "x"}, 0, "InvalidClientTokenId"},
		{"token for a key without", "sts", aws.Credentials{AccessKeyID: "long", SecretAccessKey: "secret", SessionToken: "x"}, 0, "InvalidClientTokenId"},
		{"ended", "ec2", aws.Credentials{AccessKeyID: "ended", SecretAccessKey: "other", SessionToken: "token"}, 0, "ExpiredToken"},
		{"four minutes late", "ec2", long, 4 * time.Minute, ""},
		{"six minutes late", "ec2", long, 6 * time.Minute, "RequestExpired"},
		{"six minutes early", "ec2", long, -6 * time.Minute, "RequestExpired"},
		{"six minutes late, s3", "s3", long, 6 * time.Minute, ""},
		{"sixteen minutes late, s3", "s3", long, 16 * time.Minute, "RequestTimeTooSkewed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := sign(t, test.credentials, test.service, "/", "Action=X")
			signature, err := verifierAt(signedAt().Add(test.late)).Verify(r)
			if got := codeOf(err); got != test.want {
				t.Fatalf("code %q, want %q (%v)", got, test.want, err)
			}
			if err == nil && (signature.Service != test.service || signature.AccessKey != test.credentials.AccessKeyID) {
				t.Errorf("signature %+v", signature)
			}
		})
	}
}

func codeOf(err error) string {
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestVerifyCoversTheWholeRequest changes one thing after signing.
func TestVerifyCoversTheWholeRequest(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = http.MethodPut },
		"path":   func(r *http.Request) { r.URL.Path = "/other" },
		"query":  func(r *http.Request) { r.URL.RawQuery = "a=3" },
		"header": func(r *http.Request) { r.Header.Set("X-Amz-Meta-Spaces", "c") },
		"host":   func(r *http.Request) { r.Host = "127.0.0.1:1" },
		"body":   func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("Action=Y")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := sign(t, aws.Credentials{AccessKeyID: "long", SecretAccessKey: "secret"}, "ec2", "/path?a=2", "Action=X")
			change(r)
			if _, err := verifierAt(signedAt()).Verify(r); codeOf(err) != "SignatureDoesNotMatch" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVerifyAgreesWithTheSDKOnEveryPathAndQuery(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		service := rapid.SampledFrom([]string{"s3", "ec2"}).Draw(rt, "service")
		path := rapid.StringMatching(`[a-zA-Z0-9 ~!*'()+;:@&=$,\[\]%#?/äß-]{0,20}`).Draw(rt, "path")
		query := url.Values{rapid.String().Draw(rt, "name"): rapid.SliceOfN(rapid.String(), 1, 3).Draw(rt, "values")}
		target := "/" + escape(strings.TrimLeft(path, "/"), true) + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
		r := sign(t, aws.Credentials{AccessKeyID: "long", SecretAccessKey: "secret"}, service, target, "x")
		if _, err := verifierAt(signedAt()).Verify(r); err != nil {
			rt.Fatalf("%s: %v", target, err)
		}
	})
}

func TestVerifyReadsPresignedURLs(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:4599/bucket/a%20key?X-Amz-Expires=60", nil)
	r.RequestURI = ""
	credentials := aws.Credentials{AccessKeyID: "role", SecretAccessKey: "other", SessionToken: "token"}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(context.Background(), credentials, r, UnsignedPayload, "s3", "eu-central-1", signedAt())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		late time.Duration
		url  string
		want string
	}{
		{"in time", time.Minute, signed, ""},
		{"too late", time.Minute + time.Second, signed, "AccessDenied"},
		{"tampered", 0, strings.Replace(signed, "key?", "kex?", 1), "SignatureDoesNotMatch"},
		{"prolonged", 0, strings.Replace(signed, "Expires=60", "Expires=600", 1), "SignatureDoesNotMatch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := verifierAt(signedAt().Add(test.late)).Verify(httptest.NewRequest(http.MethodGet, test.url, nil))
			if code := codeOf(err); code != test.want {
				t.Fatalf("code %q, want %q (%v)", code, test.want, err)
			}
			if err == nil && (!got.Presigned || got.PayloadHash != UnsignedPayload) {
				t.Errorf("signature %+v", got)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=long/20261123/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=00", "20261123T201500Z", "")
	f.Add("AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;", "", "X-Amz-Algorithm=x&X-Amz-Expires=1")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		if _, err := verifierAt(signedAt()).Verify(r); err == nil {
			t.Error("verified what nobody signed")
		}
	})
}
