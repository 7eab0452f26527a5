package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// Releases tests what every store promises about published versions. open
// answers with an empty store each time.
func Releases(t *testing.T, open func(t *testing.T) artifact.ReleaseStore) {
	tests := []struct {
		name string
		test func(*testing.T, artifact.ReleaseStore)
	}{
		{"publish and read back", publishAndRead},
		{"parts of an artifact", parts},
		{"versions", versions},
		{"nothing published", nothing},
		{"a version is taken", taken},
		{"documents beside a version", documents},
		{"eight publishers of the same bytes", publishSame},
		{"publishing under an ended context", publishEnded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// sbom stands for a bill of materials; stores do not read it.
const sbom = `{"bomFormat":"CycloneDX"}`

// Build makes the artifact of a small tree, whose index.php holds content.
func Build(t *testing.T, v artifact.Version, content string) build.Built {
	t.Helper()
	dir := t.TempDir()
	noise := rand.NewChaCha8([32]byte{1})
	video := make([]byte, 300<<10)
	noise.Read(video)
	for name, b := range map[string][]byte{
		"index.php":                    []byte(content),
		"wp-includes/version.php":      []byte("<?php $wp_version = '7.0.3';\n"),
		"wp-content/languages/one.bin": video,
		"wp-content/two.bin":           video[:100<<10],
	} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	built, err := build.Build(t.Context(), build.Options{Tree: dir, Out: t.TempDir(), Version: v, Described: Describe(sbom)})
	check(t, err)
	return built
}

// Describe is a description that has this bill of materials.
func Describe(sbom string) build.Description { return build.Description{SBOM: []byte(sbom)} }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, s artifact.ReleaseStore, b build.Built) build.Published {
	t.Helper()
	p, err := build.Publish(t.Context(), s, b.Dir, nil)
	check(t, err)
	return p
}

func object(t *testing.T, s artifact.ReleaseStore, name string) []byte {
	t.Helper()
	o, err := s.Get(t.Context(), name, 0, -1)
	check(t, err)
	defer o.Close()
	b, err := io.ReadAll(o)
	check(t, err)
	if o.Size != int64(len(b)) || o.Name != name || o.ETag == "" {
		t.Errorf("%d bytes of %+v", len(b), o.Stat)
	}
	return b
}

func publishAndRead(t *testing.T, s artifact.ReleaseStore) {
	b := Build(t, "v1", "one")
	if p := publish(t, s, b); !p.Created || p.Digest != b.Digest {
		t.Errorf("published %+v", p)
	}
	if p := publish(t, s, b); p.Created || p.Digest != b.Digest {
		t.Errorf("published again %+v", p)
	}
	for _, name := range []string{"manifest.json", "sbom.cdx.json", "wordpress.tar.zst"} {
		want, err := os.ReadFile(filepath.Join(b.Dir, name))
		check(t, err)
		if got := object(t, s, "releases/v1/"+name); !bytes.Equal(got, want) {
			t.Errorf("%s: %d other bytes, want %d", name, len(got), len(want))
		}
	}
	_, err := fetch.Verify(t.Context(), s, "v1", b.Digest)
	check(t, err)
	dest := filepath.Join(t.TempDir(), "v1")
	_, err = fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Digest: b.Digest, Dest: dest})
	check(t, err)
	check(t, fetch.Check(dest, b.Manifest))
}

func parts(t *testing.T, s artifact.ReleaseStore) {
	b := Build(t, "v1", "one")
	publish(t, s, b)
	const name = "releases/v1/wordpress.tar.zst"
	whole, err := os.ReadFile(filepath.Join(b.Dir, "wordpress.tar.zst"))
	check(t, err)
	size := int64(len(whole))
	for _, tt := range []struct{ off, n int64 }{{0, size}, {0, 1}, {size - 1, 1}, {1000, 70000}, {size / 2, -1}, {5, 0}} {
		o, err := s.Get(t.Context(), name, tt.off, tt.n)
		check(t, err)
		got, err := io.ReadAll(o)
		o.Close()
		check(t, err)
		end := tt.off + tt.n
		if tt.n < 0 {
			end = size
		}
		if !bytes.Equal(got, whole[tt.off:end]) || o.Size != size {
			t.Errorf("bytes %d+%d: %d of %d", tt.off, tt.n, len(got), o.Size)
		}
	}
}

func versions(t *testing.T, s artifact.ReleaseStore) {
	for _, v := range []artifact.Version{"v10", "v9", "beta.1_x"} {
		publish(t, s, Build(t, v, string(v)))
	}
	got, err := artifact.Versions(t.Context(), s)
	check(t, err)
	if len(got) != 3 || got[0] != "beta.1_x" || got[1] != "v9" || got[2] != "v10" {
		t.Errorf("versions %v", got)
	}
	stats, err := s.List(t.Context(), "releases/v9/")
	check(t, err)
	var names []string
	for _, st := range stats {
		names = append(names, st.Name)
		if b := object(t, s, st.Name); int64(len(b)) != st.Size {
			t.Errorf("listed %+v, read %d bytes", st, len(b))
		}
	}
	if got := strings.Join(names, " "); got != "releases/v9/manifest.json releases/v9/sbom.cdx.json releases/v9/wordpress.tar.zst" {
		t.Errorf("listed %s", got)
	}
}

func nothing(t *testing.T, s artifact.ReleaseStore) {
	stats, err := s.List(t.Context(), "releases/")
	if err != nil || len(stats) != 0 {
		t.Errorf("got %v, %v", stats, err)
	}
	_, _, err = artifact.Find(t.Context(), s, "v1")
	var not *artifact.NotPublished
	if !errors.As(err, &not) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"releases/v1/manifest.json", "releases/v1/wordpress.tar.zst", "releases/v1/sbom.cdx.json", "releases/v1/x"} {
		_, err := s.Get(t.Context(), name, 0, 10)
		wants(t, err, artifact.ErrNotFound)
	}
}

func taken(t *testing.T, s artifact.ReleaseStore) {
	first := Build(t, "v1", "one")
	publish(t, s, first)
	for _, v := range []artifact.Version{"v1", "V1"} {
		_, err := build.Publish(t.Context(), s, Build(t, v, "two").Dir, nil)
		var taken *artifact.VersionTaken
		if !errors.As(err, &taken) || taken.Taken != "v1" || taken.Hint() == "" {
			t.Errorf("publishing %s: %v", v, err)
		}
	}
	_, digest, err := artifact.Find(t.Context(), s, "v1")
	check(t, err)
	if digest != first.Digest {
		t.Errorf("the refused one changed it to %s", digest)
	}
	_, err = fetch.Verify(t.Context(), s, "v1", "")
	check(t, err)
}

// documents come before or after the version they belong to.
func documents(t *testing.T, s artifact.ReleaseStore) {
	const early, late = "releases/v1/manifest.sig.json", "releases/v1/notes.json"
	put := func(name, content string) error {
		_, err := s.Put(t.Context(), name, Body([]byte(content)), artifact.Condition{Absent: true})
		return err
	}
	check(t, put(early, "signed"))
	publish(t, s, Build(t, "v1", "one"))
	check(t, put(late, "noted"))
	for name, want := range map[string]string{early: "signed", late: "noted"} {
		if got := object(t, s, name); string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
		check(t, put(name, want))
		wants(t, put(name, "changed"), artifact.ErrExists)
		if got := object(t, s, name); string(got) != want {
			t.Errorf("the refused write changed %s to %q", name, got)
		}
	}
}

func publishSame(t *testing.T, s artifact.ReleaseStore) {
	b := Build(t, "v1", "one")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := build.Publish(t.Context(), s, b.Dir, nil)
			if err != nil || p.Digest != b.Digest {
				t.Errorf("published %+v, %v", p, err)
			}
		})
	}
	wg.Wait()
	_, err := fetch.Verify(t.Context(), s, "v1", b.Digest)
	check(t, err)
}

func publishEnded(t *testing.T, s artifact.ReleaseStore) {
	b := Build(t, "v1", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := build.Publish(ctx, s, b.Dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if stats, err := s.List(t.Context(), ""); err != nil || len(stats) != 0 {
		t.Errorf("it left %v, %v", stats, err)
	}
}
