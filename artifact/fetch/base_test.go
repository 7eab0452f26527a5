package fetch_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// two publishes v1 and v2, which differ in one file of many, and returns the
// path of v1's artifact.
func two(t *testing.T) (s artifact.Store, v2 build.Built, old string) {
	t.Helper()
	noise := rand.New(rand.NewPCG(3, 4))
	one := artifacttest.Tree{}
	for i := range 200 {
		b := make([]byte, 64<<10)
		for i := range b {
			b[i] = byte(noise.Uint32())
		}
		one[fmt.Sprintf("wp-content/f%03d.bin", i)] = string(b)
	}
	next := maps.Clone(one)
	next["wp-content/f100.bin"] = "changed"
	v1 := buildtest.Build(t, build.Options{Tree: one.Write(t, t.TempDir()), Version: "v1"})
	v2 = buildtest.Build(t, build.Options{Tree: next.Write(t, t.TempDir()), Version: "v2"})
	st := buildtest.Store(t, t.TempDir())
	for _, b := range []build.Built{v1, v2} {
		_, err := build.Publish(t.Context(), st, b.Dir, nil)
		artifacttest.Must(t, err)
	}
	return st, v2, filepath.Join(v1.Dir, "wordpress.tar.zst")
}

func kept(t *testing.T, name string, b build.Built) {
	t.Helper()
	got, err := os.ReadFile(name)
	artifacttest.Must(t, err)
	if artifact.DigestOf(got) != b.Manifest.Artifact.Digest {
		t.Error("the artifact that was kept is another one")
	}
	artifacttest.Gone(t, name+".partial")
}

// Only what changed is downloaded, and the result is the same to the bit.
func TestFetchFromBase(t *testing.T) {
	s, v2, old := two(t)
	for _, as := range []fetch.Form{fetch.AsDirectory, fetch.AsImage} {
		dest, keep := filepath.Join(t.TempDir(), "v2"), filepath.Join(t.TempDir(), "v2.tar.zst")
		got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v2", Dest: dest, As: as, Base: old, Keep: keep})
		artifacttest.Must(t, err)
		whole := v2.Manifest.Artifact.Size
		if got.Downloaded > whole/3 || got.Downloaded+got.Reused != whole {
			t.Errorf("%s: downloaded %d and reused %d of %d", as, got.Downloaded, got.Reused, whole)
		}
		if as == fetch.AsImage {
			artifacttest.Must(t, fetch.CheckImage(t.Context(), dest, v2.Manifest))
		} else {
			artifacttest.Must(t, fetch.Check(dest, v2.Manifest))
		}
		kept(t, keep, v2)
	}
}

// Nobody vouches for a base.
func TestFetchFromDamagedBase(t *testing.T) {
	s, v2, old := two(t)
	whole, err := os.ReadFile(old)
	artifacttest.Must(t, err)
	all := bytes.Clone(whole)
	for i := range all {
		all[i] ^= 0x55
	}
	for name, base := range map[string][]byte{
		"one byte":         flipped(whole, len(whole)/2),
		"a byte of a few":  scattered(whole, 1<<20),
		"its index":        flipped(whole, len(whole)-400),
		"its last byte":    flipped(whole, len(whole)-1),
		"its beginning":    whole[1000:],
		"its end":          whole[:len(whole)-1],
		"all":              all,
		"nothing":          nil,
		"another length":   flipped(whole, len(whole)-9),
		"another index":    flipped(whole, len(whole)-17),
		"only the end":     whole[len(whole)-17:],
		"not an artifact":  []byte("text"),
		"moved":            append([]byte{0}, whole...),
		"frames of zeros":  zeroed(whole),
		"another artifact": whole,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "base")
			artifacttest.Must(t, os.WriteFile(file, base, 0o644))
			dest, keep := filepath.Join(t.TempDir(), "v2"), filepath.Join(t.TempDir(), "v2.tar.zst")
			got, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v2", Dest: dest, Base: file, Keep: keep})
			artifacttest.Must(t, err)
			artifacttest.Must(t, fetch.Check(dest, v2.Manifest))
			kept(t, keep, v2)
			if got.Downloaded+got.Reused != v2.Manifest.Artifact.Size {
				t.Errorf("downloaded %d and reused %d of %d", got.Downloaded, got.Reused, v2.Manifest.Artifact.Size)
			}
		})
	}
	dest := filepath.Join(t.TempDir(), "v2")
	_, err = fetch.Release(t.Context(), s, fetch.Options{Version: "v2", Dest: dest, Base: "/nowhere/base"})
	artifacttest.Must(t, err)
}

func scattered(b []byte, every int) []byte {
	b = bytes.Clone(b)
	for i := every / 2; i < len(b)/2; i += every {
		b[i] ^= 1
	}
	return b
}

// zeroed keeps the last tenth, where the index is.
func zeroed(b []byte) []byte {
	b = bytes.Clone(b)
	clear(b[:len(b)-len(b)/10])
	return b
}

// A release that stands is left alone; the artifact is fetched when it is to
// be kept and is not there.
func TestKeepOfAStandingRelease(t *testing.T) {
	s, v2, _ := two(t)
	dest, keep := filepath.Join(t.TempDir(), "v2"), filepath.Join(t.TempDir(), "v2.tar.zst")
	o := fetch.Options{Version: "v2", Dest: dest}
	_, err := fetch.Release(t.Context(), s, o)
	artifacttest.Must(t, err)
	o.Keep = keep
	for range 2 {
		_, err = fetch.Release(t.Context(), s, o)
		artifacttest.Must(t, err)
		kept(t, keep, v2)
	}
	got, err := fetch.Release(t.Context(), s, o)
	if err != nil || got.Downloaded != 0 {
		t.Errorf("downloaded %d, %v", got.Downloaded, err)
	}
	artifacttest.Must(t, os.WriteFile(keep, []byte("another"), 0o644))
	_, err = fetch.Release(t.Context(), s, o)
	artifacttest.Must(t, err)
	kept(t, keep, v2)
}
