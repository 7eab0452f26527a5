package ocistore_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/ocistore"
	"github.com/wpbake/wpbake/artifact/storetest"
)

func TestReleases(t *testing.T) {
	for _, tt := range []struct {
		name string
		host func(t *testing.T) string
	}{
		{"registry", func(t *testing.T) string { return serve(t, withReferrers()) }},
		{"registry without a list of referrers", func(t *testing.T) string { return serve(t, nil) }},
		{"registry without ranges", func(t *testing.T) string { return serve(t, withReferrers(), withoutRanges) }},
		{"immutable tags", func(t *testing.T) string { return serve(t, withReferrers(), immutableTags) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Releases(t, func(t *testing.T) artifact.ReleaseStore {
				return open(t, ocistore.Options{Repository: tt.host(t) + "/shop/releases"})
			})
		})
	}
}

func TestCredentials(t *testing.T) {
	b := storetest.Build(t, "v1", "one")
	for name, auth := range map[string]wrapper{"basic": basicAuth, "token": tokenAuth} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, withReferrers(), auth)
			s := func() *ocistore.Store { return open(t, ocistore.Options{Repository: host + "/shop"}) }
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			unauthorized(t, s(), b, host)
			login(t, host, "another password")
			unauthorized(t, s(), b, host)
			login(t, host, password)
			publish(t, s(), b)
			_, err := fetch.Verify(t.Context(), s(), "v1", b.Digest)
			check(t, err)
		})
	}
}

func unauthorized(t *testing.T, s *ocistore.Store, b build.Built, host string) {
	t.Helper()
	_, err := build.Publish(t.Context(), s, b.Dir, nil)
	var e *ocistore.Error
	if !errors.Is(err, artifact.ErrCredentials) || !errors.As(err, &e) || e.Hint() != "docker login "+host {
		t.Errorf("got %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "password\"") || strings.Contains(fmt.Sprint(err), "another password") {
		t.Errorf("a password in %v", err)
	}
}

func TestDenied(t *testing.T) {
	host := serve(t, withReferrers(), readOnly)
	_, err := build.Publish(t.Context(), open(t, ocistore.Options{Repository: host + "/shop"}), storetest.Build(t, "v1", "one").Dir, nil)
	var e *ocistore.Error
	if !errors.Is(err, artifact.ErrDenied) || !errors.As(err, &e) || !strings.Contains(e.Hint(), "docker login "+host) {
		t.Errorf("got %v", err)
	}
}

// Where tags are immutable, exactly one of many publishers passes.
func TestImmutableTagsLetOnePass(t *testing.T) {
	host := serve(t, withReferrers(), immutableTags)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 6 {
		b := storetest.Build(t, "v1", fmt.Sprint("publisher ", i))
		s := open(t, ocistore.Options{Repository: host + "/shop"})
		wg.Go(func() {
			_, err := build.Publish(t.Context(), s, b.Dir, nil)
			var taken *artifact.VersionTaken
			switch {
			case err == nil:
				won.Add(1)
			case !errors.As(err, &taken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 6 publishers passed", won.Load())
	}
}

// An image of somebody else's under a version's tag is neither read nor
// replaced, and does not hide the releases beside it.
func TestForeignImages(t *testing.T) {
	host := serve(t, withReferrers())
	theirs, err := random.Image(100, 1)
	check(t, err)
	ref, err := name.NewTag(host + "/shop:v2")
	check(t, err)
	check(t, remote.Write(ref, theirs))
	s := open(t, ocistore.Options{Repository: host + "/shop"})
	publish(t, s, storetest.Build(t, "v1", "one"))
	_, err = build.Publish(t.Context(), s, storetest.Build(t, "v2", "two").Dir, nil)
	var foreign *ocistore.Foreign
	if !errors.As(err, &foreign) || foreign.Hint() == "" {
		t.Errorf("got %v", err)
	}
	versions, err := artifact.Versions(t.Context(), s)
	check(t, err)
	if len(versions) != 1 || versions[0] != "v1" {
		t.Errorf("versions %v", versions)
	}
	want, err := theirs.Digest()
	check(t, err)
	if got, err := remote.Head(ref); err != nil || got.Digest != want {
		t.Errorf("their tag is at %v, %v", got, err)
	}
}

// An image whose annotations tell of another artifact than its layer is
// damaged, whoever made it.
func TestImageMustCarryItsArtifact(t *testing.T) {
	host := serve(t, withReferrers())
	s := open(t, ocistore.Options{Repository: host + "/shop"})
	publish(t, s, storetest.Build(t, "v1", "one"))
	tag, err := name.NewTag(host + "/shop:v1")
	check(t, err)
	desc, err := remote.Get(tag)
	check(t, err)
	digest := storetest.Build(t, "v2", "two").Manifest.Artifact.Digest.Hex()
	for name, raw := range map[string]string{
		"another layer":    replaceLayer(t, desc.Manifest, digest),
		"another manifest": strings.Replace(string(desc.Manifest), `io.github.wpbake.manifest.digest":"sha256:`, `io.github.wpbake.manifest.digest":"sha256:0`, 1),
		"no layer":         `{"annotations":` + annotations(t, desc.Manifest) + `}`,
	} {
		check(t, remote.Put(tag, rawManifest(raw)))
		_, err = fetch.Verify(t.Context(), s, "v1", "")
		var damaged *artifact.Damaged
		if !errors.As(err, &damaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRepositoryNames(t *testing.T) {
	for _, repo := range []string{
		"", "shop", "ghcr.io", "ghcr.io/", "shop/releases", "localhost:5000/shop:v1", "ghcr.io/shop@sha256:00",
		"ghcr.io/Shop", "ghcr.io/a b", "ghcr.io//x", "user:pw@ghcr.io/shop",
	} {
		if _, err := ocistore.New(ocistore.Options{Repository: repo}); err == nil {
			t.Errorf("%q is a repository", repo)
		}
	}
	for _, repo := range []string{"ghcr.io/shop/releases", "localhost:5000/shop", "localhost/shop", "docker.io/shop/x", "[::1]:5000/shop"} {
		if err := ocistore.Check(ocistore.Options{Repository: repo, Base: "php:8.3-fpm"}); err != nil {
			t.Errorf("%q: %v", repo, err)
		}
	}
	if _, err := ocistore.New(ocistore.Options{Repository: "ghcr.io/shop", Base: "php:8.3:fpm"}); err == nil {
		t.Error("php:8.3:fpm is an image")
	}
}

// A registry on this machine may send the client elsewhere, but not over plain
// HTTP.
func TestRedirectsAreEncrypted(t *testing.T) {
	host := serve(t, withReferrers(), func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/sha256:") && r.Method == http.MethodGet {
				http.Redirect(w, r, "http://registry.test"+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	s := open(t, ocistore.Options{Repository: host + "/shop"})
	publish(t, s, storetest.Build(t, "v1", "one"))
	_, err := fetch.Verify(t.Context(), s, "v1", "")
	var plain *ocistore.Unencrypted
	if !errors.As(err, &plain) || plain.Host != "registry.test" || plain.Hint() == "" {
		t.Errorf("got %v", err)
	}
}

// A server that is no registry is not one without releases.
func TestNoRegistry(t *testing.T) {
	host := serve(t, nil, func(http.Handler) http.Handler { return http.NotFoundHandler() })
	if stats, err := open(t, ocistore.Options{Repository: host + "/shop"}).List(t.Context(), "releases/"); err == nil {
		t.Errorf("listed %v", stats)
	}
}
