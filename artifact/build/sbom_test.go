package build_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

func TestSBOM(t *testing.T) {
	tree := artifacttest.Sample().Write(t, t.TempDir())
	out := t.TempDir()
	bill := []byte("{\"bomFormat\": \"CycloneDX\"}\n")
	b := buildtest.Build(t, build.Options{Tree: tree, Out: out, Described: build.Description{SBOM: bill}})
	if b.Manifest.SBOM == nil || b.Manifest.SBOM.Digest != artifact.DigestOf(bill) || b.Manifest.SBOM.Size != int64(len(bill)) {
		t.Fatalf("manifest says %+v", b.Manifest.SBOM)
	}
	dir := t.TempDir()
	s := buildtest.Store(t, dir)
	_, err := build.Publish(t.Context(), s, b.Dir, nil)
	artifacttest.Must(t, err)
	got, err := artifact.SBOM(t.Context(), s, b.Manifest)
	artifacttest.Must(t, err)
	if string(got) != string(bill) {
		t.Errorf("got %q", got)
	}
	_, err = fetch.Verify(t.Context(), s, "v1", b.Digest)
	artifacttest.Must(t, err)

	var damaged *artifact.Damaged
	name := filepath.Join(dir, "releases", "v1", "sbom.cdx.json")
	for what, change := range map[string]func() error{
		"altered":  func() error { return os.WriteFile(name, []byte("{\"bomFormat\": \"CycloneDy\"}\n"), 0o644) },
		"longer":   func() error { return os.WriteFile(name, append(bill, ' '), 0o644) },
		"cut":      func() error { return os.WriteFile(name, bill[:9], 0o644) },
		"not here": func() error { return os.Remove(name) },
	} {
		artifacttest.Must(t, change())
		if _, err := artifact.SBOM(t.Context(), s, b.Manifest); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := fetch.Verify(t.Context(), s, "v1", ""); !errors.As(err, &damaged) {
			t.Errorf("%s: verify: %v", what, err)
		}
		artifacttest.Must(t, os.WriteFile(name, bill, 0o644))
	}
}

// What is published is what the manifest names, or nothing is.
func TestPublishRefusesAnotherSBOM(t *testing.T) {
	b := buildtest.Build(t, build.Options{Tree: artifacttest.Sample().Write(t, t.TempDir()), Described: build.Description{SBOM: []byte("{}\n")}})
	artifacttest.Must(t, os.WriteFile(filepath.Join(b.Dir, "sbom.cdx.json"), []byte("[]\n"), 0o644))
	s := buildtest.Store(t, t.TempDir())
	var damaged *artifact.Damaged
	if _, err := build.Publish(t.Context(), s, b.Dir, nil); !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
	if versions, err := artifact.Versions(t.Context(), s); err != nil || len(versions) > 0 {
		t.Errorf("%v is published, %v", versions, err)
	}
}

// A build that finds everything done looks at the bill as well.
func TestSBOMIsRemade(t *testing.T) {
	o := build.Options{Tree: artifacttest.Sample().Write(t, t.TempDir()), Out: t.TempDir(), Cache: t.TempDir(), Described: build.Description{SBOM: []byte("{}\n")}}
	name := filepath.Join(buildtest.Build(t, o).Dir, "sbom.cdx.json")
	artifacttest.Must(t, os.WriteFile(name, []byte("[]\n"), 0o644))
	buildtest.Build(t, o)
	if got, err := os.ReadFile(name); err != nil || string(got) != "{}\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A build without a bill leaves none of an earlier build's.
func TestSBOMIsReplaced(t *testing.T) {
	tree, out := artifacttest.Sample().Write(t, t.TempDir()), t.TempDir()
	buildtest.Build(t, build.Options{Tree: tree, Out: out, Described: build.Description{SBOM: []byte("{}\n")}})
	b := buildtest.Build(t, build.Options{Tree: tree, Out: out})
	if _, err := os.Stat(filepath.Join(b.Dir, "sbom.cdx.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an earlier bill is left: %v", err)
	}
	if got, err := artifact.SBOM(t.Context(), nil, b.Manifest); got != nil || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
