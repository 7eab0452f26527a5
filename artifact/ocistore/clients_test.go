package ocistore_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/ocistore"
	"github.com/wpbake/wpbake/artifact/storetest"
	"github.com/wpbake/wpbake/internal/tier"
)

const cranePackage = "github.com/google/go-containerregistry/cmd/crane"

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return out
}

// tree writes what an archive can hold: links, an empty directory, names that
// need an extended header.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"index.php":                           "<?php\n",
		"empty":                               "",
		"wp-includes/version.php":             strings.Repeat("<?php\n", 100000),
		"wp-content/Zürich.css":               "a{}",
		strings.Repeat("long/", 40) + "f.php": "deep",
		"wp-content/plugins/" + strings.Repeat("n", 150) + ".php": "long",
	} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	check(t, os.MkdirAll(filepath.Join(dir, "wp-content/languages"), 0o755))
	check(t, os.Symlink("../index.php", filepath.Join(dir, "wp-content/index.php")))
	return dir
}

// pushed is a release in a registry: v1 alone, v2 on an image of Docker's
// format, v3 on an index of two platforms.
type pushed struct {
	tree  string
	host  string
	built map[string]build.Built
}

func (p pushed) ref(tag string) string { return p.host + "/shop/releases:" + tag }

func push(t *testing.T, o ...wrapper) pushed {
	t.Helper()
	p := pushed{tree: tree(t), host: serve(t, withReferrers(), o...), built: map[string]build.Built{}}
	for tag, base := range map[string]string{"v1": "", "v2": dockerBase(t, p.host), "v3": indexBase(t, p.host)} {
		b, err := build.Build(t.Context(), build.Options{
			Tree: p.tree, Out: t.TempDir(), Version: artifact.Version(tag), Described: storetest.Describe(sbomText),
		})
		check(t, err)
		publish(t, open(t, ocistore.Options{Repository: p.host + "/shop/releases", Base: base}), b)
		p.built[tag] = b
	}
	return p
}

func dockerBase(t *testing.T, host string) string {
	t.Helper()
	img, err := random.Image(1000, 2)
	check(t, err)
	img, err = mutate.Config(img, v1.Config{Env: []string{"BASE=1"}, WorkingDir: "/wordpress"})
	check(t, err)
	ref := host + "/base:docker"
	tag, err := name.NewTag(ref)
	check(t, err)
	check(t, remote.Write(tag, img))
	return ref
}

func indexBase(t *testing.T, host string) string {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range []v1.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"},
		{OS: "windows", Architecture: "amd64"}, {OS: "unknown", Architecture: "unknown"},
	} {
		img, err := random.Image(500, 1)
		check(t, err)
		config, err := img.ConfigFile()
		check(t, err)
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
		img, err = mutate.ConfigFile(img, config)
		check(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	ref := host + "/base:index"
	tag, err := name.NewTag(ref)
	check(t, err)
	check(t, remote.WriteIndex(tag, index))
	return ref
}

// same compares the tree with what a client unpacked.
func (p pushed) same(t *testing.T, tag, dir string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "diff", "-r", "--no-dereference", p.tree, filepath.Join(dir, "wordpress")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	check(t, fetch.Check(dir, p.built[tag].Manifest))
}

// unpack unpacks a tar of a whole root. The base's files are left behind.
func unpack(t *testing.T, tar string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, tier.Program(t, "tar"), "--no-same-owner", "-C", dir, "-xf", tar, "wordpress", ".wpbake")
	return dir
}

func TestCrane(t *testing.T) {
	tier.Test(t)
	p := push(t)
	crane := filepath.Join(t.TempDir(), "crane")
	run(t, "go", "build", "-o", crane, cranePackage)
	for _, tag := range []string{"v1", "v2", "v3"} {
		tar := filepath.Join(t.TempDir(), "root.tar")
		run(t, crane, "export", p.ref(tag), tar)
		p.same(t, tag, unpack(t, tar))
	}
	var m v1.Manifest
	check(t, json.Unmarshal(run(t, crane, "manifest", p.ref("v1")), &m))
	want := p.built["v1"].Manifest
	if len(m.Layers) != 1 || m.Layers[0].Digest.String() != string(want.Artifact.Digest) || m.Layers[0].MediaType != types.OCILayerZStd {
		t.Errorf("layers %+v", m.Layers)
	}
	if m.Annotations["org.opencontainers.image.version"] != "v1" || m.Annotations["io.github.wpbake.manifest.digest"] != string(want.Digest()) ||
		m.Annotations["io.github.wpbake.manifest"] != string(want.Marshal()) {
		t.Errorf("annotations %v", m.Annotations)
	}
	// The image says which digest its layer has uncompressed: that of the tar.
	var config v1.ConfigFile
	check(t, json.Unmarshal(run(t, crane, "config", p.ref("v1")), &config))
	plain := run(t, tier.Program(t, "zstd"), "-dc", filepath.Join(p.built["v1"].Dir, "wordpress.tar.zst"))
	if ids := config.RootFS.DiffIDs; len(ids) != 1 || ids[0].String() != string(artifact.DigestOf(plain)) {
		t.Errorf("diff ids %v", ids)
	}
	// A copy in another repository is the release too.
	run(t, crane, "copy", p.ref("v1"), p.host+"/copy:v1")
	s := open(t, ocistore.Options{Repository: p.host + "/copy"})
	if _, digest, err := artifact.Find(t.Context(), s, "v1"); err != nil || digest != want.Digest() {
		t.Errorf("found %s in the copy, %v", digest, err)
	}
}

func TestSkopeo(t *testing.T) {
	tier.Test(t)
	skopeo := tier.Program(t, "skopeo")
	p := push(t)
	for _, tag := range []string{"v1", "v2", "v3"} {
		layout := filepath.Join(t.TempDir(), "layout")
		run(t, skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+p.ref(tag), "oci:"+layout+":"+tag)
		layer := filepath.Join(layout, "blobs", "sha256", p.built[tag].Manifest.Artifact.Digest.Hex())
		p.same(t, tag, unpack(t, layer))
	}
	var seen struct {
		Layers []string
		Env    []string
	}
	check(t, json.Unmarshal(run(t, skopeo, "inspect", "--tls-verify=false", "docker://"+p.ref("v2")), &seen))
	if len(seen.Layers) != 3 || seen.Layers[2] != string(p.built["v2"].Manifest.Artifact.Digest) || !slices.Contains(seen.Env, "BASE=1") {
		t.Errorf("inspected %+v", seen)
	}
}

// Podman as an ordinary user needs ranges of user numbers, which a machine may
// not have given out.
func TestPodman(t *testing.T) {
	tier.Test(t)
	podman := tier.Program(t, "podman")
	tier.Root(t)
	p := push(t)
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.json")
	check(t, os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600))
	storage := []string{
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none",
	}
	call := func(args ...string) string {
		return strings.TrimSpace(string(run(t, podman, append(storage, args...)...)))
	}
	for _, tag := range []string{"v1", "v2", "v3"} {
		call("pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, p.ref(tag))
		// Nothing is started: a container that could be is all that export asks for.
		container := call("create", p.ref(tag), "/none")
		tar := filepath.Join(t.TempDir(), "root.tar")
		call("export", "--output", tar, container)
		call("rm", container)
		p.same(t, tag, unpack(t, tar))
	}
}
