// Package awstest connects the real AWS clients to a handler in the same
// process. It knows HTTP and nothing of AWS, and it refuses to reach any host
// but this one.
package awstest

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/wpbake/wpbake/internal/aws"
)

// What Clients sign with. No cloud that listens has this secret.
const (
	Region    = "eu-central-1"
	AccessKey = "AKIAWITHOUTSOCKETS22"
	SecretKey = "known-to-everybody"
	Endpoint  = "http://127.0.0.1:4599"
)

// Clients call handler. There are no sockets, so they work inside a
// testing/synctest bubble; when the test ends they work no longer.
func Clients(t testing.TB, handler http.Handler) *aws.Clients {
	t.Helper()
	return aws.New(Config(t, handler))
}

// Config is what Clients are made of.
func Config(t testing.TB, handler http.Handler) sdk.Config {
	t.Helper()
	return sdk.Config{
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		BaseEndpoint: sdk.String(Endpoint),
		HTTPClient:   &guard{t: t, next: Transport{Handler: handler}},
	}
}

// guard fails the test that tries to leave this machine.
type guard struct {
	t    testing.TB
	next Transport
}

func (g *guard) Do(r *http.Request) (*http.Response, error) {
	answer, err := g.next.Do(r)
	if remote := (*NotLoopback)(nil); errors.As(err, &remote) {
		g.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return answer, err
}

// NotLoopback refuses a request to another machine.
type NotLoopback struct{ Host string }

func (e *NotLoopback) Error() string { return fmt.Sprintf("refusing host %q: not loopback", e.Host) }

func checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	return &NotLoopback{host}
}
