package ocistore

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Check accepts what New does.
func Check(o Options) error {
	if _, err := parseRepository(o.Repository); err != nil {
		return err
	}
	if o.Base == "" {
		return nil
	}
	_, err := parseBase(o.Base)
	return err
}

// parseRepository reads HOST/REPO. The host is always named: a word without a
// dot or port, which docker pull takes for a repository of Docker's, is a
// mistake here.
func parseRepository(s string) (name.Repository, error) {
	host, path, ok := strings.Cut(s, "/")
	if !ok || path == "" {
		return name.Repository{}, errors.New("want HOST/REPO")
	}
	if host != "localhost" && !strings.ContainsAny(host, ".:") {
		return name.Repository{}, fmt.Errorf("%q is no registry's host: want one such as ghcr.io or localhost:5000", host)
	}
	if strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
		return name.Repository{}, fmt.Errorf("%q has an empty part", path)
	}
	if strings.ContainsAny(path, ":@") {
		return name.Repository{}, fmt.Errorf("%q has a tag or digest: versions are the tags", path)
	}
	repo, err := name.NewRepository(s, name.StrictValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%q is no repository: want lower-case letters, digits, '.', '_', '-' between slashes", path)
	}
	return repo, nil
}

// encrypted lets plain HTTP through to this machine only. What else a registry
// is asked, its credentials and the places that it redirects to go over TLS,
// whatever the registry's name looks like.
type encrypted struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t encrypted) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !loopback(req.URL.Hostname()) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, &Unencrypted{Host: req.URL.Host}
	}
	return t.RoundTripper.RoundTrip(req)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
