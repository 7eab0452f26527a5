package intercept

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// call makes a request as a client that signs for a service would.
func call(t *testing.T, base, service, method, path, body string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "signed.example"
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20261126/eu-central-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func TestProxy(t *testing.T) {
	arrived := 0
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived++
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Host, r.Method, r.URL, body)
	}))
	defer cloud.Close()
	one, err := Start(cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	for _, c := range [][]string{
		{"ec2", "POST", "/", "Action=RunInstances&Version=2016-11-15"}, {"sts", "POST", "/", "Action=GetCallerIdentity"},
		{"ebs", "POST", "/snapshots", "{}"}, {"ebs", "PUT", "/snapshots/snap-1/blocks/7", "x"}, {"ebs", "POST", "/snapshots/completion/snap-1", ""},
		{"ebs", "GET", "/snapshots/snap-1/blocks?maxResults=100", ""}, {"ebs", "GET", "/snapshots/snap-1/blocks/7?blockToken=t", ""},
		{"s3", "GET", "/bucket/releases/v1/manifest.json", ""},
	} {
		got, err := call(t, one.URL(), c[0], c[1], c[2], c[3])
		if want := "signed.example " + c[1] + " " + c[2] + " " + c[3]; err != nil || got != want {
			t.Errorf("%q reached the cloud as %q, %v", c, got, err)
		}
	}
	want := []Call{
		{"ec2", "RunInstances"}, {"sts", "GetCallerIdentity"}, {"ebs", "StartSnapshot"}, {"ebs", "PutSnapshotBlock"}, {"ebs", "CompleteSnapshot"},
		{"ebs", "ListSnapshotBlocks"}, {"ebs", "GetSnapshotBlock"}, {"s3", "GET releases/v1/manifest.json"},
	}
	if diff := cmp.Diff(want, one.Calls()); diff != "" {
		t.Error(diff)
	}
	// The second call of a name has its effect, and its answer is lost.
	one.Forget()
	arrived = 0
	affected, held := 0, 0
	one.Hold("StopInstances", func() { held = arrived })
	one.At(2, func(c Call) bool { return c.Name == "StopInstances" }, func() bool {
		affected = arrived
		return false
	})
	for n, lost := range []bool{false, true, false} {
		if _, err := call(t, one.URL(), "ec2", "POST", "/", "Action=StopInstances"); (err != nil) != lost {
			t.Errorf("call %d: %v", n+1, err)
		}
	}
	one.Wait()
	if affected != 2 || held != 3 || arrived != 3 || len(one.Calls()) != 3 {
		t.Errorf("affected after %d, held after %d, of %d arrived calls", affected, held, arrived)
	}
	if _, err := Start("http://192.0.2.1"); err == nil {
		t.Error("intercepted calls to another machine")
	}
}
