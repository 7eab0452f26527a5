package build_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/tier"
)

func TestBuildPublishFetch(t *testing.T) {
	want := artifacttest.Sample()
	s, b := buildtest.Published(t, want)
	again, err := build.Publish(t.Context(), s, b.Dir, nil)
	artifacttest.Must(t, err)
	if again.Created || again.Digest != b.Digest {
		t.Errorf("publishing twice: %+v", again)
	}
	m, digest, err := artifact.Find(t.Context(), s, "v1")
	artifacttest.Must(t, err)
	if digest != b.Digest || m.Digest() != b.Digest {
		t.Errorf("found %s, built %s", digest, b.Digest)
	}
	for _, pin := range []artifact.Digest{"", digest} {
		dest := filepath.Join(t.TempDir(), "a", "b")
		if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Digest: pin, Dest: dest}); err != nil {
			t.Fatal(err)
		}
		artifacttest.Diff(t, artifacttest.Read(t, filepath.Join(dest, "wordpress")), want)
		artifacttest.Must(t, fetch.Check(dest, m))
		if _, err := os.Lstat(dest + ".partial"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("staging is left: %v", err)
		}
		// The complete release is used again.
		_, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Dest: dest})
		artifacttest.Must(t, err)
	}
	_, err = fetch.Verify(t.Context(), s, "v1", digest)
	artifacttest.Must(t, err)
}

// pythonUnpack is what the documentation of tarfile and zstandard says to do.
const pythonUnpack = `
import sys, tarfile, zstandard
with open(sys.argv[1], "rb") as f:
    plain = zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True)
    with tarfile.open(fileobj=plain, mode="r|") as tar:
        tar.extractall()
`

func TestOtherToolsUnpack(t *testing.T) {
	tier.Test(t)
	want := artifacttest.Sample()
	b := buildtest.Build(t, build.Options{Tree: want.Write(t, t.TempDir())})
	blob := filepath.Join(b.Dir, "wordpress.tar.zst")
	tool := func(name string) func(testing.TB) string {
		return func(tb testing.TB) string { return tier.Program(tb, name) }
	}
	for _, tt := range []struct {
		name  string
		tool  func(testing.TB) string
		stdin bool // reads the artifact from a pipe, in which nothing can be sought
		args  []string
	}{
		{"tar", tool("tar"), false, []string{"--zstd", "-xf", blob}},
		{"tar that looks for itself", tool("tar"), false, []string{"-xf", blob}},
		{"tar from a pipe", tool("tar"), true, []string{"--zstd", "-x"}},
		{"bsdtar", tool("bsdtar"), false, []string{"-xf", blob}},
		{"bsdtar from a pipe", tool("bsdtar"), true, []string{"-xf", "-"}},
		{"python", artifacttest.Python, false, []string{"-c", pythonUnpack, blob}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), tt.tool(t), tt.args...)
			cmd.Dir = dir
			if tt.stdin {
				f, err := os.Open(blob)
				artifacttest.Must(t, err)
				defer f.Close()
				cmd.Stdin = io.MultiReader(f) // not a file to the program
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			artifacttest.Diff(t, artifacttest.Read(t, filepath.Join(dir, "wordpress")), want)
			artifacttest.Must(t, fetch.Check(dir, b.Manifest))
			sums := exec.CommandContext(t.Context(), tier.Program(t, "sha256sum"), "-c", "--strict", "--quiet", ".wpbake/SHA256SUMS")
			sums.Dir = dir
			if out, err := sums.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	out, err := exec.CommandContext(t.Context(), tier.Program(t, "zstd"), "-tq", blob).CombinedOutput()
	if err != nil {
		t.Errorf("zstd -t: %v\n%s", err, out)
	}
}

func TestVersionTaken(t *testing.T) {
	s, _ := buildtest.Published(t, artifacttest.Tree{"index.php": "one"})
	other := artifacttest.Tree{"index.php": "two"}.Write(t, t.TempDir())
	for _, v := range []artifact.Version{"v1", "V1"} {
		b := buildtest.Build(t, build.Options{Tree: other, Version: v})
		_, err := build.Publish(context.Background(), s, b.Dir, nil)
		var taken *artifact.VersionTaken
		if !errors.As(err, &taken) || taken.Hint() == "" {
			t.Errorf("publishing %s: %v", v, err)
		}
	}
	versions, err := artifact.Versions(t.Context(), s)
	artifacttest.Must(t, err)
	if len(versions) != 1 || versions[0] != "v1" {
		t.Errorf("versions %v", versions)
	}
	if _, _, err := artifact.Find(t.Context(), s, "v2"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("finding v2: %v", err)
	}
}
