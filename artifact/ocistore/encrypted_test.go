package ocistore

import (
	"errors"
	"net/http"
	"testing"
)

type answer struct{ asked int }

func (a *answer) RoundTrip(*http.Request) (*http.Response, error) {
	a.asked++
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// The client would speak plain HTTP with private addresses and names in .local;
// the store does with this machine alone.
func TestPlainHTTPStaysOnThisMachine(t *testing.T) {
	for url, passes := range map[string]bool{
		"https://ghcr.io/v2/": true, "https://10.0.0.5:5000/v2/": true,
		"http://localhost:5000/v2/": true, "http://127.0.0.1:5000/v2/": true, "http://[::1]:5000/v2/": true,
		"http://10.0.0.5:5000/v2/": false, "http://registry.local/v2/": false, "http://ghcr.io/v2/": false,
		"http://localhost.example.com/v2/": false, "http://127.0.0.1.example.com/v2/": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		inner := &answer{}
		resp, err := encrypted{inner}.RoundTrip(req)
		var plain *Unencrypted
		if passes != (err == nil) || passes != (inner.asked == 1) || !passes && !errors.As(err, &plain) {
			t.Errorf("%s: asked %d times, %v", url, inner.asked, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}
