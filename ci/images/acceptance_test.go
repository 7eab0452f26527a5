package images

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// The SDK's own acceptance tests of the plugin's components.
func TestAcceptance(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	digest := s.publish()
	tools, err := filepath.Abs("../../bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestAcc", ".")
	cmd.Dir = "../../packer/plugin"
	cmd.Env = append(s.environ,
		"PATH="+tools+":"+s.variable("PATH"), "PACKER_ACC=1", "WPBAKE_ACC_STORE="+store, "WPBAKE_ACC_DIGEST="+digest,
		"WPBAKE_ACC_IMAGE="+baseImage, fmt.Sprintf("WPBAKE_ACC_SSH_PORT=%d", s.sshPort()), "WPBAKE_ACC_WPBAKE="+s.wpbake)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS"} {
		cmd.Env = append(cmd.Env, name+"="+goEnv(t, name))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, name := range []string{"Datasource", "DatasourceWithoutRelease", "Provisioner", "PostProcessor", "PostProcessorWithoutImage"} {
		if !strings.Contains(string(out), "--- PASS: TestAcc"+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("the tests left %v", left)
	}
	images := s.ownImages("")
	if len(images) != 1 {
		t.Fatalf("there are %d images", len(images))
	}
	s.wantRecord(images[0], "eu-central-1", digest)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}
