package doctest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// workflow is what matters of docs/examples/release.yml.
type workflow struct {
	On struct {
		Push struct {
			Branches []string `yaml:"branches"`
		} `yaml:"push"`
	} `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency struct {
		CancelInProgress *bool `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Env  map[string]string `yaml:"env"`
	Jobs map[string]struct {
		Minutes     int               `yaml:"timeout-minutes"`
		Permissions map[string]string `yaml:"permissions"`
		Steps       []step            `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	Name string         `yaml:"name"`
	Uses string         `yaml:"uses"`
	With map[string]any `yaml:"with"`
	Run  string         `yaml:"run"`
}

func readWorkflow(t *testing.T) workflow {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/examples/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// The workflow that people copy releases what is merged, asks for no longer
// session than a role gives by default, and holds few rights.
func TestReleaseWorkflow(t *testing.T) {
	w := readWorkflow(t)
	if !slices.Equal(w.On.Push.Branches, []string{"main"}) {
		t.Errorf("it runs on pushes to %q", w.On.Push.Branches)
	}
	if w.Permissions == nil || len(w.Permissions) > 0 || w.Concurrency.CancelInProgress == nil || *w.Concurrency.CancelInProgress {
		t.Error("it has rights beside the job's, or a run can be cancelled by the next")
	}
	if !strings.Contains(w.Env["VERSION"], "github.run_number") {
		t.Errorf("version %q", w.Env["VERSION"])
	}
	job, ok := w.Jobs["release"]
	if !ok || job.Minutes > 60 || len(job.Permissions) != 2 || job.Permissions["contents"] != "read" {
		t.Errorf("job %+v", job)
	}
	pinned := regexp.MustCompile(`@[0-9a-f]{40}$`)
	sessions, releases := 0, 0
	for _, s := range job.Steps {
		if s.Uses != "" && !pinned.MatchString(s.Uses) {
			t.Errorf("%s is not pinned by its hash", s.Uses)
		}
		if seconds, ok := s.With["role-duration-seconds"].(uint64); ok && seconds <= 3600 {
			sessions++
		}
		if s.Run == `exec wpbake release "$VERSION"` {
			releases++
		}
	}
	if sessions != 1 || releases != 1 {
		t.Errorf("%d sessions of an hour at most, %d releases; want one each", sessions, releases)
	}
}

// As long as nothing is released, a copied workflow says what is missing
// before it installs anything.
func TestReleaseWorkflowWithoutARelease(t *testing.T) {
	w := readWorkflow(t)
	steps := w.Jobs["release"].Steps
	i := slices.IndexFunc(steps, func(s step) bool { return s.Name == "install wpbake" })
	if i < 0 {
		t.Fatal("nothing installs wpbake")
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho \"go $*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	install := func(version string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", steps[i].Run)
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "WPBAKE_VERSION=" + version}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var exit *exec.ExitError
	if out, err := install(w.Env["WPBAKE_VERSION"]); !errors.As(err, &exit) || !strings.HasPrefix(out, "::error::") || strings.Contains(out, "go install") {
		t.Errorf("with the placeholder: %v, %q", err, out)
	}
	if out, err := install("v0.3.1"); err != nil || out != "go install github.com/wpbake/wpbake/cmd/wpbake@v0.3.1\n" {
		t.Errorf("with a version: %v, %q", err, out)
	}
}
