package ocistore_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/wpbake/wpbake/artifact/build"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/ocistore"
)

// wrapper changes a registry's behaviour.
type wrapper func(http.Handler) http.Handler

// serve starts a registry on a loopback port and returns its host.
func serve(t *testing.T, o []registry.Option, wrappers ...wrapper) string {
	t.Helper()
	var h http.Handler = registry.New(append(o, registry.Logger(log.New(io.Discard, "", 0)))...)
	for _, w := range wrappers {
		h = w(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// withReferrers is a registry as the distribution specification 1.1 has it.
func withReferrers() []registry.Option { return []registry.Option{registry.WithReferrersSupport(true)} }

func open(t *testing.T, o ocistore.Options) *ocistore.Store {
	t.Helper()
	s, err := ocistore.New(o)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, s artifact.ReleaseStore, b build.Built) {
	t.Helper()
	_, err := build.Publish(t.Context(), s, b.Dir, nil)
	check(t, err)
}

// withoutRanges sends blobs whole, as some proxies do.
func withoutRanges(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		h.ServeHTTP(w, r)
	})
}

// immutableTags refuses to move a tag, as Amazon ECR does when asked to.
func immutableTags(h http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ref, ok := strings.Cut(r.URL.Path, "/manifests/")
		if !ok || r.Method != http.MethodPut || strings.Contains(ref, ":") {
			h.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		head := httptest.NewRecorder()
		h.ServeHTTP(head, httptest.NewRequest(http.MethodHead, r.URL.String(), nil))
		if head.Code == http.StatusOK {
			refuse(w, http.StatusBadRequest, "TAG_INVALID", "the tag exists and the repository is immutable")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

const user, password = "shop", "a password"

// basicAuth asks each request for name and password.
func basicAuth(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// tokenAuth is what most registries do: an endpoint trades name and password
// for a token, which is good for what it was asked for.
func tokenAuth(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
				return
			}
			json.NewEncoder(w).Encode(map[string]string{"token": "for " + strings.Join(r.URL.Query()["scope"], " ")})
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer for ")
		if writes := r.Method != http.MethodGet && r.Method != http.MethodHead; !ok || writes && !strings.Contains(token, "push") {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="registry"`, r.Host))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// readOnly lets nobody write.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// login does what docker login does.
func login(t *testing.T, host, password string) {
	t.Helper()
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600))
	t.Setenv("DOCKER_CONFIG", dir)
}

// rawManifest is a manifest that is pushed as it is.
type rawManifest string

func (r rawManifest) RawManifest() ([]byte, error)        { return []byte(r), nil }
func (r rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// replaceLayer gives the last layer another digest.
func replaceLayer(t *testing.T, raw []byte, hex string) string {
	t.Helper()
	var m v1.Manifest
	check(t, json.Unmarshal(raw, &m))
	m.Layers[len(m.Layers)-1].Digest.Hex = hex
	b, err := json.Marshal(m)
	check(t, err)
	return string(b)
}

func annotations(t *testing.T, raw []byte) string {
	t.Helper()
	var m v1.Manifest
	check(t, json.Unmarshal(raw, &m))
	b, err := json.Marshal(m.Annotations)
	check(t, err)
	return string(b)
}
