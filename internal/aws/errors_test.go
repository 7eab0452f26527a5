package aws_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

func hint(err error) string {
	h := interface{ Hint() string }(nil)
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answer     string
		want       error
		text, hint string
	}{
		"denied": {refusal(403, "AccessDenied", "User: arn:aws:iam::1:user/ci is not authorized to perform: autoscaling:CancelInstanceRefresh"), rollout.ErrDenied,
			`calling CancelInstanceRefresh for "shop": AccessDenied: User: arn:aws:iam::1:user/ci is not authorized to perform: autoscaling:CancelInstanceRefresh (request 1a2b3c)`,
			"allow the caller autoscaling:CancelInstanceRefresh"},
		"template denied": {refusal(403, "AccessDenied", "You are not authorized to use launch template: lt-1"), rollout.ErrDenied, "", "iam:PassRole"},
		"expired":         {refusal(403, "ExpiredToken", "The security token included in the request is expired"), rollout.ErrCredentials, "", "wpbake resume"},
		"unknown key":     {refusal(403, "InvalidClientTokenId", "…"), rollout.ErrCredentials, "", "AWS_PROFILE"},
		"signature": {refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match. Check your key.\n\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:SECRET'"),
			rollout.ErrCredentials, "does not match. Check your key (request", "AWS_PROFILE"},
		"signature in one line": {refusal(403, "SignatureDoesNotMatch", "No match. The Canonical String for this request: x-amz-security-token:SECRET"), rollout.ErrCredentials, "No match (request", ""},
		"clock":                 {refusal(403, "RequestTimeTooSkewed", "…"), nil, "", "clock"},
		"no group":              {refusal(400, "ValidationError", "AutoScalingGroup name not found - null"), rollout.ErrNoGroup, "AutoScalingGroup name not found - null", ""},
		"encoded":               {refusal(403, "UnauthorizedOperation", "You are not authorized. Encoded authorization failure message: SECRET"), rollout.ErrDenied, "You are not authorized (request", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, map[string][]string{"CancelInstanceRefresh": {c.answer}})
			err := awstest.Clients(t, s).Cloud().Refreshes.Cancel(t.Context(), "shop")
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("%v is not %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("text %q, want %q", err, c.text)
			}
			if h := hint(err); !strings.Contains(h, c.hint) || strings.Contains(h, "\n") {
				t.Errorf("hint %q, want %q", h, c.hint)
			}
			e := (*aws.Error)(nil)
			if !errors.As(err, &e) || e.Operation != "CancelInstanceRefresh" || e.Resource != "shop" || e.RequestID != "1a2b3c" || e.Code == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestNoActiveAction(t *testing.T) {
	s := newScript(t, map[string][]string{
		"CompleteLifecycleAction":        {refusal(400, "ValidationError", "No active Lifecycle Action found with instance ID i-1")},
		"RecordLifecycleActionHeartbeat": {refusal(400, "ValidationError", "No active Lifecycle Action found with token 6f0…")},
	})
	l := awstest.Clients(t, s).Lifecycle()
	a := node.Action{Group: "shop", Hook: "wpbake-boot", Instance: "i-1"}
	if err := l.Complete(t.Context(), node.Completion{Action: a, Result: node.Continue}); !errors.Is(err, node.ErrNoAction) {
		t.Errorf("Complete: %v", err)
	}
	s.wantSent("CompleteLifecycleAction", `
		AutoScalingGroupName=shop
		InstanceId=i-1
		LifecycleActionResult=CONTINUE
		LifecycleHookName=wpbake-boot
		`)
	if err := l.Heartbeat(t.Context(), a); !errors.Is(err, node.ErrNoAction) {
		t.Errorf("Heartbeat: %v", err)
	}
	s.wantSent("RecordLifecycleActionHeartbeat", `
		AutoScalingGroupName=shop
		InstanceId=i-1
		LifecycleHookName=wpbake-boot
		`)
}

// A store's failures are rollout's errors too, and stay the SDK's.
func TestStoreErrors(t *testing.T) {
	clients := awstest.Clients(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/releases/key" {
			t.Errorf("path %q is not path style", r.URL.Path)
		}
		w.Header().Set("X-Amz-Request-Id", "REQ1")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>REQ1</RequestId><HostId>h</HostId></Error>"))
	}))
	_, err := clients.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: sdk.String("releases"), Key: sdk.String("key")})
	api := smithy.APIError(nil)
	if !errors.Is(err, rollout.ErrDenied) || !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" {
		t.Fatalf("got %v", err)
	}
	if want := "operation error S3: GetObject, AccessDenied: Access Denied (request REQ1)"; err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := newScript(t, map[string][]string{"CancelInstanceRefresh": {refusal(400, "Throttling", "Rate exceeded")}})
		err := awstest.Clients(t, s).Cloud().Refreshes.Cancel(t.Context(), "shop")
		if n := s.count("CancelInstanceRefresh"); n != 5 {
			t.Errorf("%d attempts", n)
		}
		if want := `Throttling: Rate exceeded (5 attempts, request 1a2b3c)`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if h := hint(err); !strings.Contains(h, "the same command again") {
			t.Errorf("hint %q", h)
		}
	})
}

func TestCutConnectionAndCancel(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cut := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		err := awstest.Clients(t, cut).Cloud().Refreshes.Cancel(t.Context(), "shop")
		if err == nil || !strings.Contains(err.Error(), "unexpected EOF (5 attempts)") {
			t.Errorf("got %v", err)
		}
	})
	virtual(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hung := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		err := awstest.Clients(t, hung).Cloud().Refreshes.Cancel(ctx, "shop")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Do(*http.Request) (*http.Response, error) { return nil, f.err }

// The text names the host that was not reached, never the URL.
func TestUnreachable(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cfg := awstest.Config(t, nil)
		cfg.HTTPClient = failing{&url.Error{Op: "Post", URL: "https://s3.example.com/a?X-Amz-Signature=SECRET", Err: errors.New("connection refused")}}
		err := aws.New(cfg).Cloud().Refreshes.Cancel(t.Context(), "shop")
		if want := `calling CancelInstanceRefresh for "shop": reaching s3.example.com: connection refused (5 attempts)`; err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
		if h := hint(err); !strings.Contains(h, "AWS_ENDPOINT_URL") {
			t.Errorf("hint %q", h)
		}
	})
}
