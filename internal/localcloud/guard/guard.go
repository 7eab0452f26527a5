// Package guard keeps web pages out of the local cloud's listeners. A browser
// on this machine reaches them for whatever page is open in it; it cannot help
// telling on that page, by a name in Host, an Origin, or Sec-Fetch-Site.
//
// It knows HTTP and nothing of AWS. It says nothing about other users of this
// machine, whose programs send what they like: those a signature keeps out.
package guard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Names a listener has besides loopback addresses and localhost.
type Names int

const (
	Plain   Names = iota
	Buckets       // and BUCKET.localhost, with presigned URLs: S3's
)

// Check refuses, with the reason, a request that a web page may have caused:
// one from another machine, one with a Host or an Origin that is not this
// listener's, a fetch from another site, or a signature in its query, which a
// form or a link can carry. The listener is known from the request's context,
// as net/http's server leaves it there; without one every request is refused.
func Check(r *http.Request, names Names) error {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("it comes from another machine (%q)", r.RemoteAddr)
	}
	if err := checkHost(r, names); err != nil {
		return err
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return fmt.Errorf("it comes from a page of another site (Sec-Fetch-Site: %s)", site)
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != "http://"+r.Host {
			return fmt.Errorf("it comes from a page of another origin (%q)", origin)
		}
	}
	if names != Buckets && signedInQuery(r) {
		return fmt.Errorf("it is signed in its query, which only S3 takes here")
	}
	return nil
}

func checkHost(r *http.Request, names Names) error {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return fmt.Errorf("no listener took it")
	}
	_, own, err := net.SplitHostPort(local.String())
	if err != nil {
		return fmt.Errorf("its listener %q has no port", local)
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil { // the port is left out when it is HTTP's own
		host, port = strings.Trim(r.Host, "[]"), "80"
	}
	if port != own {
		return fmt.Errorf("its Host %q has another port than this listener, %s", r.Host, own)
	}
	if !isLoopback(host) && host != "localhost" && !(names == Buckets && isBucket(host)) {
		return fmt.Errorf("its Host %q is no loopback address", r.Host)
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func isBucket(host string) bool {
	bucket, ok := strings.CutSuffix(host, ".localhost")
	return ok && bucket != ""
}

// signedInQuery finds the parameters of a presigned URL, of signature version
// 4 and of those before it, in any spelling.
func signedInQuery(r *http.Request) bool {
	for name := range r.URL.Query() {
		lower := strings.ToLower(name)
		if slices.Contains([]string{"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature"}, lower) {
			return true
		}
	}
	return false
}

// Refuse answers 403 with a reason that Check gave.
func Refuse(w http.ResponseWriter, reason error) {
	http.Error(w, "the local cloud refuses this request: "+reason.Error(), http.StatusForbidden)
}
