package awstest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/wpbake/wpbake/internal/aws"
)

// recorder is a test that is told off.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func TestLeavingThisMachineFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	cfg := Config(r, http.NotFoundHandler())
	cfg.BaseEndpoint = nil // AWS itself
	cfg.Retryer = func() sdk.Retryer { return sdk.NopRetryer{} }
	if err := aws.New(cfg).Cloud().Refreshes.Cancel(t.Context(), "shop"); err == nil {
		t.Error("the call went through")
	}
	if len(r.said) != 1 || !strings.Contains(r.said[0], `refusing host "autoscaling.eu-central-1.amazonaws.com": not loopback`) {
		t.Errorf("the test was told %q", r.said)
	}
}
