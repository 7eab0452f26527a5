package aws_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// isolate leaves no AWS setting but those given.
func isolate(t *testing.T, environ map[string]string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range environ {
		t.Setenv(name, value)
	}
}

var dummy = map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "dummy", "AWS_REGION": "eu-central-1"}

func with(extra map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{dummy, extra} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func TestLoadNeedsARegion(t *testing.T) {
	isolate(t, with(map[string]string{"AWS_REGION": ""}))
	_, err := aws.Load(t.Context(), aws.Options{})
	if err == nil || err.Error() != "no AWS region configured" || !strings.Contains(hint(err), "--region") {
		t.Errorf("got %v, hint %q", err, hint(err))
	}
	if c, err := aws.Load(t.Context(), aws.Options{Region: "eu-west-1"}); err != nil || c.Region() != "eu-west-1" {
		t.Errorf("with a region: %v", err)
	}
}

func TestLoadNeedsCredentials(t *testing.T) {
	isolate(t, map[string]string{"AWS_REGION": "eu-central-1"})
	_, err := aws.Load(t.Context(), aws.Options{})
	if !errors.Is(err, rollout.ErrCredentials) || !strings.HasPrefix(err.Error(), "finding AWS credentials: ") || !strings.Contains(hint(err), "AWS_PROFILE") {
		t.Errorf("got %v, hint %q", err, hint(err))
	}
	isolate(t, with(map[string]string{"AWS_PROFILE": "nobody"}))
	if _, err := aws.Load(t.Context(), aws.Options{}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("unknown profile: %v", err)
	}
}

// credentials that stop working later fail in the call, with the same hint.
func TestCredentialsGoneLater(t *testing.T) {
	isolate(t, nil)
	cfg := awstest.Config(t, http.NotFoundHandler())
	cfg.Credentials = sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{}, errors.New("the SSO session has expired")
	})
	err := aws.New(cfg).Cloud().Refreshes.Cancel(t.Context(), "shop")
	if !errors.Is(err, rollout.ErrCredentials) || !strings.Contains(err.Error(), "the SSO session has expired") || hint(err) == "" {
		t.Errorf("got %v, hint %q", err, hint(err))
	}
}

const caller = `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ci</Arn>` +
	`<UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`

// The endpoint comes from the option or the environment, over real sockets
// and with the SDK's own client.
func TestLoadEndpoint(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.URL.Path)
		if r.URL.Path == "/" {
			fmt.Fprint(w, caller)
		}
	}))
	defer server.Close()
	for name, c := range map[string]struct {
		environ map[string]string
		options aws.Options
	}{
		"environment":      {map[string]string{"AWS_ENDPOINT_URL": server.URL}, aws.Options{}},
		"option":           {nil, aws.Options{Endpoint: server.URL}},
		"option wins":      {map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, aws.Options{Endpoint: server.URL}},
		"no own transport": {map[string]string{"AWS_CA_BUNDLE": bundle(t)}, aws.Options{Endpoint: server.URL}},
		"own transport": {map[string]string{"AWS_CA_BUNDLE": bundle(t)},
			aws.Options{Endpoint: awstest.Endpoint, HTTPClient: awstest.Transport{Handler: server.Config.Handler}}},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t, with(c.environ))
			paths = nil
			clients, err := aws.Load(t.Context(), c.options)
			if err != nil {
				t.Fatal(err)
			}
			me, err := clients.Identity(t.Context())
			if err != nil || me != (aws.Identity{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/ci"}) {
				t.Errorf("got %+v, %v", me, err)
			}
			if _, err := clients.S3().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: sdk.String("releases"), Key: sdk.String("a")}); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"POST /", "HEAD /releases/a"}, paths); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// bundle is a file of root certificates.
func bundle(t *testing.T) string {
	t.Helper()
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// imdsServer is an instance's metadata service, version 2 only.
func imdsServer(t *testing.T, tokenStatus int) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && tokenStatus == http.StatusOK:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
			fmt.Fprint(w, "token")
		case r.Method == http.MethodPut:
			w.WriteHeader(tokenStatus)
		case r.URL.Path == "/latest/dynamic/instance-identity/document":
			if r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token" {
				t.Error("asked without a token")
			}
			fmt.Fprint(w, `{"instanceId":"i-1","region":"eu-north-1","accountId":"123456789012"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestMetadata(t *testing.T) {
	server := imdsServer(t, http.StatusOK)
	isolate(t, with(map[string]string{"AWS_REGION": "", "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL}))
	clients, err := aws.Load(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if clients.Region() != "eu-north-1" {
		t.Errorf("region %q", clients.Region())
	}
	me, err := clients.Metadata().Instance(t.Context())
	if err != nil || me != (node.Identity{Instance: "i-1", Region: "eu-north-1"}) {
		t.Errorf("got %+v, %v", me, err)
	}
}

func TestMetadataNeverAsksWithoutToken(t *testing.T) {
	server := imdsServer(t, http.StatusForbidden)
	isolate(t, with(map[string]string{"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL}))
	clients, err := aws.Load(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if me, err := clients.Metadata().Instance(t.Context()); err == nil {
		t.Errorf("got %+v", me)
	}
}

func TestParameters(t *testing.T) {
	pages := []string{
		`{"Parameters":[{"Name":"/shop/production/DB_HOST","Value":"db"}],"NextToken":"n"}`,
		`{"Parameters":[{"Name":"/shop/production/salts/AUTH_KEY","Value":"secret"}]}`,
	}
	calls := 0
	clients := awstest.Clients(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Amz-Target"); got != "AmazonSSM.GetParametersByPath" {
			t.Errorf("target %q", got)
		}
		fmt.Fprint(w, pages[calls%len(pages)])
		calls++
	}))
	for _, path := range []string{"/shop/production/", "/shop/production"} {
		got, err := clients.Parameters().Get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"DB_HOST": "db", "salts/AUTH_KEY": "secret"}, got); diff != "" {
			t.Error(diff)
		}
	}
}
