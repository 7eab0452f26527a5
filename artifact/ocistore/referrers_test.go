package ocistore_test

import (
	"bytes"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/wpbake/wpbake/artifact/build"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/ocistore"
	"github.com/wpbake/wpbake/artifact/storetest"
)

const sbomText = `{"bomFormat":"CycloneDX"}`

// The bill of materials is found by whoever asks what refers to the image,
// with the list of referrers and without.
func TestReferrers(t *testing.T) {
	for name, registry := range map[string]func(*testing.T) string{
		"list":         func(t *testing.T) string { return serve(t, withReferrers()) },
		"fallback tag": func(t *testing.T) string { return serve(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			host := registry(t)
			publishSBOM(t, host)
			found := referrers(t, host+"/shop:v1")
			if len(found) != 1 {
				t.Fatalf("%d referrers", len(found))
			}
			m := found[0]
			if m.ArtifactType != "application/vnd.cyclonedx+json" || m.Config.MediaType != "application/vnd.oci.empty.v1+json" ||
				len(m.Layers) != 1 || m.Annotations["org.opencontainers.image.title"] != "sbom.cdx.json" {
				t.Errorf("attached %+v", m)
			}
			if m.Layers[0].Digest.String() != string(artifact.DigestOf([]byte(sbomText))) {
				t.Errorf("attached blob %s", m.Layers[0].Digest)
			}
		})
	}
}

func publishSBOM(t *testing.T, host string) {
	t.Helper()
	b, err := build.Build(t.Context(), build.Options{Tree: tree(t), Out: t.TempDir(), Version: "v1", Described: storetest.Describe(sbomText)})
	check(t, err)
	publish(t, open(t, ocistore.Options{Repository: host + "/shop"}), b)
}

// referrers asks as any other client does.
func referrers(t *testing.T, image string) []*v1.Manifest {
	t.Helper()
	tag, err := name.NewTag(image)
	check(t, err)
	desc, err := remote.Head(tag)
	check(t, err)
	list, err := remote.Referrers(tag.Digest(desc.Digest.String()))
	check(t, err)
	index, err := list.IndexManifest()
	check(t, err)
	var found []*v1.Manifest
	for _, d := range index.Manifests {
		got, err := remote.Get(tag.Digest(d.Digest.String()))
		check(t, err)
		m, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
		check(t, err)
		found = append(found, m)
	}
	return found
}
