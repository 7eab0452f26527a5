package ocistore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wpbake/wpbake/artifact"
)

// Error is a registry's answer to a call that failed. The text of the cause
// names the request, without credentials.
type Error struct {
	Doing string // such as "getting"
	URL   string // oci://HOST/REPO, a colon and the tag where one is meant
	Host  string
	Kind  error // one of artifact's errors, or nil
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Doing, e.URL, e.Err) }

// Unwrap gives the kind to errors.Is and the cause to errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to run next.
func (e *Error) Hint() string {
	switch e.Kind {
	case artifact.ErrCredentials:
		return "docker login " + e.Host
	case artifact.ErrDenied:
		return "docker login " + e.Host + " as somebody who may read, and to publish also write, this repository"
	}
	return ""
}

// fail says what was being done. Answers of the store's own, which mean the
// same in every store, are named after the object.
func (s *Store) fail(doing, object string, err error) error {
	var damaged *artifact.Damaged
	var told *Error
	if errors.As(err, &damaged) || errors.As(err, &told) {
		return err
	}
	for _, kind := range []error{artifact.ErrNotFound, artifact.ErrExists} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s %q: %w", doing, object, err)
		}
	}
	url := "oci://" + s.repo.Name()
	if v, _, ok := splitName(object); ok {
		url += ":" + string(v)
	}
	return newError(doing, url, s.repo.RegistryStr(), err)
}

func newError(doing, url, host string, err error) *Error {
	e := &Error{Doing: doing, URL: url, Host: host, Err: err}
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusUnauthorized:
			e.Kind = artifact.ErrCredentials
		case http.StatusForbidden:
			e.Kind = artifact.ErrDenied
		}
	}
	return e
}

// missing reports whether a registry says that it has no such manifest, blob
// or repository. A server that is no registry has none of these paths.
func missing(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound || answer.Request == nil {
		return false
	}
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/"} {
		if strings.Contains(answer.Request.URL.Path, kind) {
			return true
		}
	}
	return false
}

// Foreign says that a version's tag stands for an image that wpbake did not
// publish.
type Foreign struct{ Tag string }

func (e *Foreign) Error() string {
	return fmt.Sprintf("reading %q: it is an image that wpbake did not publish", e.Tag)
}

// Hint says what to do next.
func (e *Foreign) Hint() string { return "name another version, or a repository for releases alone" }

// NoBase says that the base image is not there.
type NoBase struct{ Ref string }

func (e *NoBase) Error() string { return fmt.Sprintf("no base image %q", e.Ref) }

// Hint says what to do next.
func (e *NoBase) Hint() string { return "--base-image names an image that docker pull finds" }

// Unencrypted refuses to speak plain HTTP with another machine.
type Unencrypted struct{ Host string }

func (e *Unencrypted) Error() string {
	return fmt.Sprintf("%q is another machine and speaks plain HTTP", e.Host)
}

// Hint says what to do next.
func (e *Unencrypted) Hint() string {
	return "give the registry a certificate: only one on this machine, such as localhost:5000, may go without"
}
