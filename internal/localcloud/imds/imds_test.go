package imds

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

type source struct{ instance Instance }

func (s source) Instance(id string) (Instance, bool) { return s.instance, id == s.instance.ID }

func (s source) LifecycleTarget(id string) (string, bool) { return "InService", id == "i-1" }

func (s source) Credentials(string) Credentials {
	return Credentials{AccessKey: "ASIA", SecretKey: "secret", Token: "token", Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
}

// Calls takes the connections of all tests but one for the instance's.
func (s source) Calls(_ context.Context, id string, client, _ netip.AddrPort) bool {
	return id == s.instance.ID && client.Port() != strangersPort
}

const strangersPort = 1025

func node() source {
	return source{Instance{
		ID: "i-1", ImageID: "ami-1", Type: "t3.micro", Zone: "eu-central-1a", Address: "127.77.1.1", Hostname: "ip-127-77-1-1",
		Role: "shop-node", UserData: []byte("#!/bin/sh\n"), Tags: map[string]string{"aws:autoscaling:groupName": "shop"},
		Launched: time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC),
	}}
}

func serviceOf(s source) *Service {
	return New(Options{Region: "eu-central-1", Account: "123456789012", Source: s})
}

func TestTheSDKReadsEverything(t *testing.T) {
	server := httptest.NewServer(serviceOf(node()).Handler("i-1"))
	defer server.Close()
	client := imds.New(imds.Options{Endpoint: server.URL, EnableFallback: aws.FalseTernary})
	for path, want := range map[string]string{
		"instance-id":                 "i-1",
		"ami-id":                      "ami-1",
		"instance-type":               "t3.micro",
		"placement/region":            "eu-central-1",
		"placement/availability-zone": "eu-central-1a",
		"placement/":                  "availability-zone\nregion",
		"local-ipv4":                  "127.77.1.1",
		"instance-life-cycle":         "on-demand",
		"services/domain":             "amazonaws.com",
		"iam/security-credentials/":   "shop-node",
		"tags/instance":               "aws:autoscaling:groupName",
		"tags/instance/aws:autoscaling:groupName": "shop",
		"autoscaling/target-lifecycle-state":      "InService",
	} {
		out, err := client.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, _ := io.ReadAll(out.Content)
		if string(got) != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	document, err := client.GetInstanceIdentityDocument(t.Context(), &imds.GetInstanceIdentityDocumentInput{})
	if err != nil || document.InstanceID != "i-1" || document.AccountID != "123456789012" || document.Region != "eu-central-1" {
		t.Errorf("document %+v, %v", document, err)
	}
	data, err := client.GetUserData(t.Context(), &imds.GetUserDataInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(data.Content); string(got) != "#!/bin/sh\n" {
		t.Errorf("user data %q", got)
	}
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client })
	credentials, err := provider.Retrieve(context.Background())
	if err != nil || credentials.AccessKeyID != "ASIA" || credentials.SessionToken != "token" || !credentials.CanExpire {
		t.Errorf("credentials %+v, %v", credentials, err)
	}
}

func TestRefusals(t *testing.T) {
	off := node()
	off.instance.Disabled = true
	bare := node()
	bare.instance.UserData, bare.instance.Tags = nil, nil
	for _, test := range []struct {
		name, method, path string
		source             source
		headers            []string // "Name: value"; TOKEN stands for a good one
		want               int
	}{
		{"no token", "GET", "/latest/meta-data/instance-id", node(), nil, 401},
		{"a token of nobody", "GET", "/latest/meta-data/instance-id", node(), []string{tokenHeader + ": x"}, 401},
		{"unknown item", "GET", "/latest/meta-data/spot/instance-action", node(), []string{tokenHeader + ": TOKEN"}, 404},
		{"no user data", "GET", "/latest/user-data", bare, []string{tokenHeader + ": TOKEN"}, 404},
		{"tags not allowed", "GET", "/latest/meta-data/tags/instance", bare, []string{tokenHeader + ": TOKEN"}, 404},
		{"post", "POST", "/latest/meta-data/instance-id", node(), []string{tokenHeader + ": TOKEN"}, 405},
		{"head", "HEAD", "/latest/meta-data/instance-id", node(), []string{tokenHeader + ": TOKEN"}, 200},
		{"token without ttl", "PUT", "/latest/api/token", node(), nil, 400},
		{"ttl too long", "PUT", "/latest/api/token", node(), []string{ttlHeader + ": 21601"}, 400},
		{"through a proxy", "PUT", "/latest/api/token", node(), []string{ttlHeader + ": 60", "X-Forwarded-For: 10.0.0.1"}, 403},
		{"rebound", "PUT", "/latest/api/token", node(), []string{ttlHeader + ": 60", "Host: evil.test:8169"}, 403},
		{"a page", "PUT", "/latest/api/token", node(), []string{ttlHeader + ": 60", "Origin: http://evil.test"}, 403},
		{"not the instance's", "PUT", "/latest/api/token", node(), []string{ttlHeader + ": 60", "Remote: 127.0.0.1:1025"}, 403},
		{"not the instance's, with a token", "GET", "/latest/meta-data/instance-id", node(), []string{tokenHeader + ": TOKEN", "Remote: 127.0.0.1:1025"}, 403},
		{"switched off", "PUT", "/latest/api/token", off, []string{ttlHeader + ": 60"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := serviceOf(test.source).Handler("i-1")
			r := request(test.method, test.path)
			for _, header := range test.headers {
				name, value, _ := strings.Cut(header, ": ")
				switch name {
				case "Host":
					r.Host = value
				case "Remote":
					r.RemoteAddr = value
				}
				if value == "TOKEN" {
					value = tokenFrom(t, handler, "60")
				}
				r.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, r)
			if recorder.Code != test.want {
				t.Errorf("got %d, want %d", recorder.Code, test.want)
			}
		})
	}
}

// request is one that the instance's own process made.
func request(method, path string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.RemoteAddr = "127.77.1.1:8169", "127.0.0.1:1024"
	at := &net.TCPAddr{IP: net.IPv4(127, 77, 1, 1), Port: Port}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
}

func tokenFrom(t *testing.T, handler http.Handler, ttl string) string {
	t.Helper()
	r := request(http.MethodPut, "/latest/api/token")
	r.Header.Set(ttlHeader, ttl)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	if got := recorder.Header().Get(ttlHeader); got != ttl {
		t.Fatalf("ttl %q, want %q", got, ttl)
	}
	return recorder.Body.String()
}

func TestTokensExpireAndBelongToOneInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := serviceOf(node())
		handler, other := service.Handler("i-1"), service.Handler("i-1")
		token := tokenFrom(t, handler, "60")
		ask := func(h http.Handler) int {
			r := request(http.MethodGet, "/latest/meta-data/instance-id")
			r.Header.Set(tokenHeader, token)
			recorder := httptest.NewRecorder()
			h.ServeHTTP(recorder, r)
			return recorder.Code
		}
		if got := ask(handler); got != 200 {
			t.Errorf("fresh: %d", got)
		}
		if got := ask(other); got != 401 {
			t.Errorf("another's: %d", got)
		}
		time.Sleep(time.Minute)
		if got := ask(handler); got != 401 {
			t.Errorf("expired: %d", got)
		}
	})
}
