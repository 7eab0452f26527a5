package artifact_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

func TestBuildPublishFetch(t *testing.T) {
	want := sample()
	s, b := published(t, want)
	again, err := artifact.Publish(t.Context(), s, b.Dir, nil)
	check(t, err)
	if again.Created || again.Digest != b.Digest {
		t.Errorf("publishing twice: %+v", again)
	}
	m, digest, err := artifact.Find(t.Context(), s, "v1")
	check(t, err)
	if digest != b.Digest || m.Digest() != b.Digest {
		t.Errorf("found %s, built %s", digest, b.Digest)
	}
	for _, pin := range []artifact.Digest{"", digest} {
		dest := filepath.Join(t.TempDir(), "a", "b")
		if _, err := artifact.Fetch(t.Context(), s, artifact.FetchOptions{Version: "v1", Digest: pin, Dest: dest}); err != nil {
			t.Fatal(err)
		}
		diff(t, read(t, filepath.Join(dest, "wordpress")), want)
		check(t, artifact.Check(dest, m))
		if _, err := os.Lstat(dest + ".partial"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("staging is left: %v", err)
		}
		// The complete release is used again.
		_, err := artifact.Fetch(t.Context(), s, artifact.FetchOptions{Version: "v1", Dest: dest})
		check(t, err)
	}
	_, err = artifact.Verify(t.Context(), s, "v1", digest)
	check(t, err)
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
	want := sample()
	b := build(t, artifact.BuildOptions{Tree: want.write(t, t.TempDir())})
	blob := filepath.Join(b.Dir, "wordpress.tar.zst")
	tool := func(name string) func(testing.TB) string {
		return func(tb testing.TB) string { return program(tb, name) }
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
		{"python", python, false, []string{"-c", pythonUnpack, blob}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), tt.tool(t), tt.args...)
			cmd.Dir = dir
			if tt.stdin {
				f, err := os.Open(blob)
				check(t, err)
				defer f.Close()
				cmd.Stdin = io.MultiReader(f) // not a file to the program
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			diff(t, read(t, filepath.Join(dir, "wordpress")), want)
			check(t, artifact.Check(dir, b.Manifest))
			sums := exec.CommandContext(t.Context(), program(t, "sha256sum"), "-c", "--strict", "--quiet", ".wpbake/SHA256SUMS")
			sums.Dir = dir
			if out, err := sums.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	out, err := exec.CommandContext(t.Context(), program(t, "zstd"), "-tq", blob).CombinedOutput()
	if err != nil {
		t.Errorf("zstd -t: %v\n%s", err, out)
	}
}

func TestVersionTaken(t *testing.T) {
	s, _ := published(t, tree{"index.php": "one"})
	other := tree{"index.php": "two"}.write(t, t.TempDir())
	for _, v := range []artifact.Version{"v1", "V1"} {
		b := build(t, artifact.BuildOptions{Tree: other, Version: v})
		_, err := artifact.Publish(context.Background(), s, b.Dir, nil)
		var taken *artifact.VersionTaken
		if !errors.As(err, &taken) || taken.Hint() == "" {
			t.Errorf("publishing %s: %v", v, err)
		}
	}
	versions, err := artifact.Versions(t.Context(), s)
	check(t, err)
	if len(versions) != 1 || versions[0] != "v1" {
		t.Errorf("versions %v", versions)
	}
	if _, _, err := artifact.Find(t.Context(), s, "v2"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("finding v2: %v", err)
	}
}
