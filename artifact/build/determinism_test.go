package build_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
)

// A test binary started with this variable builds its arguments' tree.
const buildAs = "ARTIFACT_TEST_BUILD"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(buildAs); ok {
		if err := buildElsewhere(strings.Split(args, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// buildElsewhere builds the sample tree in a process of its own: a umask
// belongs to a process.
func buildElsewhere(args []string) error {
	dir, out := args[0], args[1]
	if args[2] == "umask" {
		syscall.Umask(0o077)
	}
	var tb panicking
	t := artifacttest.Sample().Write(tb, dir)
	b := buildtest.Build(tb, build.Options{Tree: t, Out: out})
	fmt.Println(b.Digest, b.Manifest.Artifact.Digest)
	return nil
}

// panicking is a testing.TB outside a test.
type panicking struct{ testing.TB }

func (panicking) Helper()                  {}
func (panicking) Context() context.Context { return context.Background() }
func (panicking) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }

// TestSameBytes builds one tree under other circumstances, none of which may
// show.
func TestSameBytes(t *testing.T) {
	want := buildtest.Build(t, build.Options{Tree: artifacttest.Sample().Write(t, t.TempDir())})
	exe, err := os.Executable()
	artifacttest.Must(t, err)
	for _, tt := range []struct {
		name string
		mode string
		env  []string
	}{
		{"one processor, west of Greenwich", "", []string{"GOMAXPROCS=1", "TZ=America/Anchorage", "LC_ALL=C"}},
		{"sixteen processors, umask 077", "umask", []string{"GOMAXPROCS=16", "TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), append(tt.env, buildAs+"="+strings.Join([]string{dir, out, tt.mode}, "\n"))...)
			cmd.Stderr = os.Stderr
			got, err := cmd.Output()
			artifacttest.Must(t, err)
			if line := fmt.Sprintln(want.Digest, want.Manifest.Artifact.Digest); string(got) != line {
				t.Errorf("got %swant %s", got, line)
			}
		})
	}
	t.Run("other owner, modes and times", func(t *testing.T) {
		dir := artifacttest.Sample().Write(t, t.TempDir())
		artifacttest.Must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.Type() == os.ModeSymlink {
				return err
			}
			if os.Getuid() == 0 {
				artifacttest.Must(t, os.Lchown(p, 1234, 4321))
			}
			artifacttest.Must(t, os.Chmod(p, 0o777))
			past := time.Unix(1e9, 123)
			return os.Chtimes(p, past, past)
		}))
		if got := buildtest.Build(t, build.Options{Tree: dir}); got.Digest != want.Digest {
			t.Errorf("got %s, want %s", got.Digest, want.Digest)
		}
	})
}

// TestGoldenDigest holds the bytes of a fixed tree. When it fails, artifacts
// of the same tree have other bytes than those of the wpbake before: a
// published version built again is refused (VersionTaken) and no frame of an
// older artifact is found again. That is never a side effect.
//
//   - If only the encoder changed (a new version of klauspost/compress): take
//     the old version back, or write the new one into encoderName, say so in
//     CHANGELOG.md and put the new digests here.
//   - If planner, order, headers, lists or index changed: that is a new format.
//     Raise Format, describe it in FORMAT.md and keep reading the old one.
//   - If archive/tar of a new Go writes other headers: write the old ones in
//     header.go.
func TestGoldenDigest(t *testing.T) {
	b := buildtest.Build(t, build.Options{Tree: artifacttest.Sample().Write(t, t.TempDir()), Version: "v42", Described: build.Description{WordPress: &artifact.WordPress{
		Core: "7.0.3", DBVersion: 60717, PHP: "7.4", MySQL: "5.5.5", Layout: "classic",
		Plugins: []artifact.Component{{Slug: "cart", Name: "Cart & <Till>", Version: "2.1"}},
	}}})
	for _, d := range []struct {
		what      string
		got, want artifact.Digest
	}{
		{"tree", b.Manifest.Tree.Digest, "sha256:928ac4de3f64192500645190cdf6ecd7d0404b88424bca40047826a3d7480e3a"},
		{"file list", b.Manifest.Tree.List, "sha256:58fc202b6bb214c5a974dc6dcaefac621f6f0ae303c99a210b45fd226c2651bf"},
		{"artifact", b.Manifest.Artifact.Digest, "sha256:6164ace9d286e64329315803cfbcf91fd18e214a4b83f5a52f483e3788854eac"},
		{"image", b.Manifest.Image.Digest, "sha256:3116af73764918b068b93209dae636fe0854f52c4394097d35b29ecd11ad380d"},
		{"manifest", b.Digest, "sha256:4f965a719ea032b192ec64a78676a3a922120e8ef3ff7909a851642964a64dd6"},
	} {
		if d.got != d.want {
			t.Errorf("%s is %s, want %s", d.what, d.got, d.want)
		}
	}
}
