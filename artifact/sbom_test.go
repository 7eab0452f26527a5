package artifact_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

func TestSBOM(t *testing.T) {
	tree := sample().write(t, t.TempDir())
	out := t.TempDir()
	bill := []byte("{\"bomFormat\": \"CycloneDX\"}\n")
	b := build(t, artifact.BuildOptions{Tree: tree, Out: out, Describe: artifact.Always(artifact.Description{SBOM: bill})})
	if b.Manifest.SBOM == nil || b.Manifest.SBOM.Digest != artifact.DigestOf(bill) || b.Manifest.SBOM.Size != int64(len(bill)) {
		t.Fatalf("manifest says %+v", b.Manifest.SBOM)
	}
	dir := t.TempDir()
	s := store(t, dir)
	_, err := artifact.Publish(t.Context(), s, b.Dir, nil)
	check(t, err)
	got, err := artifact.SBOM(t.Context(), s, b.Manifest)
	check(t, err)
	if string(got) != string(bill) {
		t.Errorf("got %q", got)
	}
	_, err = artifact.Verify(t.Context(), s, "v1", b.Digest)
	check(t, err)

	var damaged *artifact.Damaged
	name := filepath.Join(dir, "releases", "v1", "sbom.cdx.json")
	for what, change := range map[string]func() error{
		"altered":  func() error { return os.WriteFile(name, []byte("{\"bomFormat\": \"CycloneDy\"}\n"), 0o644) },
		"longer":   func() error { return os.WriteFile(name, append(bill, ' '), 0o644) },
		"cut":      func() error { return os.WriteFile(name, bill[:9], 0o644) },
		"not here": func() error { return os.Remove(name) },
	} {
		check(t, change())
		if _, err := artifact.SBOM(t.Context(), s, b.Manifest); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := artifact.Verify(t.Context(), s, "v1", ""); !errors.As(err, &damaged) {
			t.Errorf("%s: verify: %v", what, err)
		}
		check(t, os.WriteFile(name, bill, 0o644))
	}
}

// What is published is what the manifest names, or nothing is.
func TestPublishRefusesAnotherSBOM(t *testing.T) {
	b := build(t, artifact.BuildOptions{Tree: sample().write(t, t.TempDir()), Describe: artifact.Always(artifact.Description{SBOM: []byte("{}\n")})})
	check(t, os.WriteFile(filepath.Join(b.Dir, "sbom.cdx.json"), []byte("[]\n"), 0o644))
	s := store(t, t.TempDir())
	var damaged *artifact.Damaged
	if _, err := artifact.Publish(t.Context(), s, b.Dir, nil); !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
	if versions, err := artifact.Versions(t.Context(), s); err != nil || len(versions) > 0 {
		t.Errorf("%v is published, %v", versions, err)
	}
}

// A build that finds everything done looks at the bill as well.
func TestSBOMIsRemade(t *testing.T) {
	o := artifact.BuildOptions{Tree: sample().write(t, t.TempDir()), Out: t.TempDir(), Cache: t.TempDir(), Describe: artifact.Always(artifact.Description{SBOM: []byte("{}\n")})}
	name := filepath.Join(build(t, o).Dir, "sbom.cdx.json")
	check(t, os.WriteFile(name, []byte("[]\n"), 0o644))
	build(t, o)
	if got, err := os.ReadFile(name); err != nil || string(got) != "{}\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A build without a bill leaves none of an earlier build's.
func TestSBOMIsReplaced(t *testing.T) {
	tree, out := sample().write(t, t.TempDir()), t.TempDir()
	build(t, artifact.BuildOptions{Tree: tree, Out: out, Describe: artifact.Always(artifact.Description{SBOM: []byte("{}\n")})})
	b := build(t, artifact.BuildOptions{Tree: tree, Out: out})
	if _, err := os.Stat(filepath.Join(b.Dir, "sbom.cdx.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an earlier bill is left: %v", err)
	}
	if got, err := artifact.SBOM(t.Context(), nil, b.Manifest); got != nil || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
