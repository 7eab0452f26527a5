package guard

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func request(target, host string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, nil)
	r.Host, r.RemoteAddr = host, "127.0.0.1:1024"
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4599}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
}

func TestCheck(t *testing.T) {
	const own, presigned = "127.0.0.1:4599", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
	for _, test := range []struct {
		name    string
		request *http.Request
		names   Names
		want    string // in the reason, "" for none
	}{
		{"a program", request("/", own), Plain, ""},
		{"a proxy on another loopback address", request("/", "127.0.0.2:4599"), Plain, ""},
		{"version 6", request("/", "[::1]:4599"), Plain, ""},
		{"by name", request("/", "localhost:4599"), Plain, ""},
		{"a bucket by name", request("/", "releases.localhost:4599"), Buckets, ""},
		{"a presigned URL", request(presigned, own), Buckets, ""},
		{"its own page", request("/", own, "Origin: http://"+own, "Sec-Fetch-Site: same-origin"), Plain, ""},
		{"typed in", request("/", own, "Sec-Fetch-Site: none"), Plain, ""},

		{"rebound", request("/", "evil.test:4599"), Plain, "Host"},
		{"rebound, of S3", request("/", "evil.test:4599"), Buckets, "Host"},
		{"no Host", request("/", ""), Plain, "Host"},
		{"another address", request("/", "10.0.0.1:4599"), Plain, "Host"},
		{"all addresses", request("/", "0.0.0.0:4599"), Plain, "Host"},
		{"another port", request("/", "127.0.0.1:4600"), Plain, "port"},
		{"no port", request("/", "127.0.0.1"), Plain, "port"},
		{"no port, version 6", request("/", "[::1]"), Plain, "port"},
		{"a bucket's name elsewhere", request("/", "releases.localhost:4599"), Plain, "Host"},
		{"a name that only ends alike", request("/", "evillocalhost:4599"), Buckets, "Host"},
		{"a bucket without a name", request("/", ".localhost:4599"), Buckets, "Host"},
		{"another site", request("/", own, "Sec-Fetch-Site: cross-site"), Buckets, "another site"},
		{"another port's page", request("/", own, "Sec-Fetch-Site: same-site"), Plain, "another site"},
		{"an origin", request("/", own, "Origin: https://evil.test"), Plain, "another origin"},
		{"a page of another port", request("/", own, "Origin: http://127.0.0.1:80"), Plain, "another origin"},
		{"a hidden origin", request("/", own, "Origin: null"), Plain, "another origin"},
		{"a second origin", request("/", own, "Origin: http://"+own, "Origin: null"), Plain, "another origin"},
		{"a link", request(presigned, own), Plain, "query"},
		{"a link in other letters", request("/?x-amz-credential=a", own), Plain, "query"},
		{"a link of version 2", request("/?AWSAccessKeyId=a&Signature=b", own), Plain, "query"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Check(test.request, test.names)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for _, remote := range []string{"", "10.0.0.1:1024", "127.0.0.1"} {
		r := request("/", own)
		r.RemoteAddr = remote
		if err := Check(r, Plain); err == nil || !strings.Contains(err.Error(), "another machine") {
			t.Errorf("from %q: %v", remote, err)
		}
	}
	nowhere := request("/", own).WithContext(t.Context())
	if err := Check(nowhere, Plain); err == nil || !strings.Contains(err.Error(), "no listener") {
		t.Errorf("without a listener: %v", err)
	}
}

func TestPortOfHTTP(t *testing.T) {
	r := request("/", "localhost")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv6loopback, Port: 80}))
	if err := Check(r, Plain); err != nil {
		t.Error(err)
	}
}

func TestRefuse(t *testing.T) {
	w := httptest.NewRecorder()
	Refuse(w, Check(request("/", "evil.test:4599"), Plain))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"evil.test:4599"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
