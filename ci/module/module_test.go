package module

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

const (
	name    = "github.com/wpbake/wpbake"
	version = "v0.1.0"
	root    = "../.."
)

// go install takes the command from a proxy into an empty module cache: there
// is no replace in the module, nothing that it embeds is missing from its zip,
// and what it requires can be had. The other modules come from this machine's
// cache, as a proxy.
func TestGoInstallFromAnEmptyCache(t *testing.T) {
	tier.Soak(t)
	tier.Need(t, "git", exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse").Run() == nil)
	proxy, dir := t.TempDir(), t.TempDir()
	files := modules(t)
	publish(t, proxy, files)
	cmd := exec.CommandContext(t.Context(), "go", "install", "-trimpath", name+"/cmd/wpbake@"+version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GOMODCACHE="+filepath.Join(dir, "modules"), "GOBIN="+dir, "GOFLAGS=-mod=mod -modcacherw", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"), "GOSUMDB=off", "GONOSUMDB=*", "GOPRIVATE=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "wpbake"), "version", "--json").Output()
	var said map[string]any
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil {
		t.Errorf("the program says %s, %v", out, err)
	}
	// What it embeds is in a program that was built from the module's zip.
	program, err := os.ReadFile(filepath.Join(dir, "wpbake"))
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(root, "packer", "release.pkr.hcl"))
	if err != nil || !bytes.Contains(program, template) {
		t.Errorf("the program does not hold Packer's template, %v", err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// modules are the files of the main module: all that git has or would have but
// those below another go.mod.
func modules(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var others []string
	for _, file := range all {
		if dir, base := path.Split(file); base == "go.mod" && dir != "" {
			others = append(others, dir)
		}
	}
	if !slices.Contains(others, "packer/plugin/") {
		t.Fatalf("the plugin is no module of its own: there are %q", others)
	}
	return slices.DeleteFunc(all, func(file string) bool {
		return slices.ContainsFunc(others, func(dir string) bool { return strings.HasPrefix(file, dir) })
	})
}

// publish writes the module into a directory that is a proxy.
func publish(t *testing.T, proxy string, files []string) {
	t.Helper()
	at := filepath.Join(proxy, filepath.FromSlash(name), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, file := range files {
		info, err := os.Lstat(filepath.Join(root, file))
		if err != nil || !info.Mode().IsRegular() {
			continue // go leaves links out, too, and what was removed is gone
		}
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.Create(name + "@" + version + "/" + file)
		if err == nil {
			_, err = io.Copy(w, bytes.NewReader(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "list"), []byte(version+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for suffix, content := range map[string][]byte{
		".info": []byte(`{"Version":"` + version + `","Time":"2026-11-26T00:00:00Z"}`), ".mod": mod, ".zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(at, version+suffix), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
