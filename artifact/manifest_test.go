package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
)

func sampleManifest() artifact.Manifest {
	d := artifact.DigestOf(nil)
	return artifact.Manifest{
		Format: artifact.Format, Version: "v42",
		Artifact: artifact.Blob{Digest: d, Size: 1000},
		Index:    artifact.Part{Digest: d, Offset: 700, Size: 200},
		Tree:     artifact.Tree{Digest: d, List: d, Prefix: "wordpress", Files: 3, Bytes: 4096},
		Image:    artifact.Blob{Digest: d, Size: 8 * 4096},
		WordPress: &artifact.WordPress{Core: "7.0.3", DBVersion: 60717, Layout: "classic",
			Plugins: []artifact.Component{{Slug: "cart", Name: "Cart & <Till> \u2028 é", Version: "2.1"}}},
	}
}

func TestManifestHasOneForm(t *testing.T) {
	m := sampleManifest()
	got, err := artifact.ParseManifest(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, got); d != "" {
		t.Error(d)
	}
	text := string(m.Marshal())
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the manifest", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, bad := range map[string]string{
		"empty":              "",
		"null":               "null",
		"list":               "[]",
		"page":               "<html></html>",
		"trailing data":      text + "{}",
		"trailing space":     text + " ",
		"no last newline":    strings.TrimSuffix(text, "\n"),
		"compact":            strings.Join(strings.Fields(text), ""),
		"duplicate key":      replace(`"size": 1000`, `"size": 1, "size": 1000`),
		"case variant":       replace(`"size": 1000`, `"Size": 1000`),
		"long s":             replace(`"size": 1000`, `"`+"\u017f"+`ize": 1000`),
		"unknown key":        replace(`"version"`, `"clock": 1, "version"`),
		"other order":        replace("\"format\": 1,\n  \"version\": \"v42\"", "\"version\": \"v42\",\n  \"format\": 1"),
		"escaped letter":     replace(`"v42"`, `"\u007642"`),
		"number in exponent": replace("1000", "1e3"),
		"number as float":    replace("1000", "1000.0"),
		"number as text":     replace("1000", `"1000"`),
		"number too large":   replace("1000", "9223372036854775808"),
		"negative size":      replace("1000", "-1"),
		"upper-case digest":  replace("sha256:e3", "sha256:E3"),
		"short digest":       replace("sha256:e3", "sha256:e"),
		"other algorithm":    replace("sha256:e3", "md5:e3"),
		"version latest":     replace(`"v42"`, `"latest"`),
		"prefix above":       replace(`"prefix": "wordpress"`, `"prefix": "../x"`),
		"prefix is ours":     replace(`"prefix": "wordpress"`, `"prefix": ".wpbake/x"`),
		"index outside":      replace(`"offset": 700`, `"offset": 900`),
		"index overflow":     replace(`"offset": 700`, `"offset": 9223372036854775807`),
		"too many files":     replace(`"files": 3`, `"files": 500001`),
		"half an image":      replace(`"size": 32768`, `"size": 32000`),
		"image too small":    replace(`"size": 32768`, `"size": 0`),
		"image too large":    replace(`"size": 32768`, `"size": 8796093022208`),
		"format 0":           replace(`"format": 1`, `"format": 0`),
		"not UTF-8":          replace("Cart", "\xff"),
		"control character":  replace("Cart", `\u0007`),
		"deep":               strings.Repeat("[", 100_000),
		"too long":           text + strings.Repeat(" ", 1<<20),
		"long text":          replace("Cart", strings.Repeat("x", 1001)),
	} {
		if _, err := artifact.ParseManifest([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNewerFormat(t *testing.T) {
	var newer *artifact.NewerFormat
	if _, err := artifact.ParseManifest([]byte(`{"format": 2, "new": {}}`)); !errors.As(err, &newer) || newer.Hint() == "" {
		t.Errorf("format 2: %v", err)
	}
}

func TestComparePaths(t *testing.T) {
	sorted := []string{"a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "ab"}
	for i := range sorted {
		for j := range sorted {
			if c := artifact.ComparePaths(sorted[i], sorted[j]); c < 0 != (i < j) || c > 0 != (i > j) {
				t.Errorf("%s against %s: %d", sorted[i], sorted[j], c)
			}
		}
	}
}

// FuzzManifest reads any bytes as a manifest, from a store and alone.
func FuzzManifest(f *testing.F) {
	f.Add(sampleManifest().Marshal())
	m := sampleManifest()
	m.WordPress = nil
	m.SBOM = &artifact.Blob{Digest: artifact.DigestOf(nil), Size: 7}
	f.Add(m.Marshal())
	f.Add([]byte(`{"format":1,"Format":1}`))
	f.Add([]byte(`{"format":2}`))
	f.Add(bytes.Repeat([]byte("["), 20_000))
	f.Fuzz(func(t *testing.T, b []byte) {
		artifacttest.Bounded(t, func() {
			m, err := artifact.ParseManifest(b)
			found, digest, foundErr := artifact.Find(t.Context(), artifacttest.Memory{artifact.ReleasePrefix("v42") + artifact.ManifestName: b}, "v42")
			artifacttest.Refusal(t, foundErr)
			if err != nil {
				if foundErr == nil {
					t.Error("a store's manifest was accepted that alone is not")
				}
				return
			}
			if !bytes.Equal(m.Marshal(), b) {
				t.Errorf("accepted another form of\n%s", m.Marshal())
			}
			if foundErr == nil && (found.Version != "v42" || digest != m.Digest() || sha256.Sum256(b) != sha256.Sum256(found.Marshal())) {
				t.Errorf("found %s %s", found.Version, digest)
			}
			if _, err := artifact.ParseManifest(m.Marshal()); err != nil {
				t.Errorf("accepted, and invalid: %v", err)
			}
		})
	})
}
