package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/acctest"
)

// The acceptance tests of Packer's SDK run packer, which has to be on PATH with
// this plugin and the one for Amazon installed, against a cloud with a published
// release. ci/images does so with the local cloud. Without PACKER_ACC they are
// skipped.

// setting is what the caller says of the cloud: WPBAKE_ACC_NAME.
func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv("WPBAKE_ACC_" + name)
	if value == "" && os.Getenv(acctest.TestEnvVar) != "" {
		t.Fatalf("WPBAKE_ACC_%s is not set", name)
	}
	return value
}

// accept runs a template and compares how packer ended and what it logged.
// Templates and logs lie in a directory of the test's own.
func accept(t *testing.T, name, template string, status int, logged ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	acctest.TestPlugin(t, &acctest.PluginTestCase{
		Name: name, Template: strings.ReplaceAll(template, "%", "%%"),
		Check: func(cmd *exec.Cmd, logfile string) error {
			log, err := os.ReadFile(logfile)
			if err != nil {
				return err
			}
			if got := cmd.ProcessState.ExitCode(); got != status {
				return fmt.Errorf("packer ended with %d, want %d:\n%s", got, status, log)
			}
			for _, pattern := range logged {
				if !regexp.MustCompile(pattern).Match(log) {
					return fmt.Errorf("no %q in:\n%s", pattern, log)
				}
			}
			if strings.Contains(string(log), "PRIVATE KEY-----") {
				return fmt.Errorf("a private key is in the log")
			}
			return nil
		},
	})
}

// instance is a source that launches one, with a template's further lines.
func instance(t *testing.T, more string) string {
	return fmt.Sprintf(`
source "amazon-ebs" "acc" {
  ami_name          = "%s"
  source_ami        = %q
  ssh_username      = "root"
  ssh_port          = %s
  instance_type     = "t3.micro"
  shutdown_behavior = "terminate"
%s
}
`, strings.ToLower(t.Name()), setting(t, "IMAGE"), setting(t, "SSH_PORT"), more)
}

func TestAccDatasource(t *testing.T) {
	digest := setting(t, "DIGEST")
	accept(t, "datasource", fmt.Sprintf(`
data "wpbake-release" "acc" {
  version = "v1"
  store   = %q
}
source "null" "acc" { communicator = "none" }
build {
  sources = ["source.null.acc"]
  provisioner "shell-local" {
    inline = ["echo found ${data.wpbake-release.acc.version} ${data.wpbake-release.acc.manifest} ${data.wpbake-release.acc.short}"]
  }
}
`, setting(t, "STORE")), 0, "found v1 "+digest+" "+strings.TrimPrefix(digest, "sha256:")[:min(12, max(0, len(digest)-7))])
}

func TestAccDatasourceWithoutRelease(t *testing.T) {
	accept(t, "missing", fmt.Sprintf(`
data "wpbake-release" "acc" {
  version = "v999"
  store   = %q
}
source "null" "acc" { communicator = "none" }
build { sources = ["source.null.acc"] }
`, setting(t, "STORE")), 1, `looking up version \\?"v999\\?"`)
}

func TestAccProvisioner(t *testing.T) {
	digest := setting(t, "DIGEST")
	accept(t, "provisioner", instance(t, "skip_create_ami = true")+fmt.Sprintf(`
build {
  sources = ["source.amazon-ebs.acc"]
  provisioner "wpbake-release" {
    version  = "v1"
    manifest = %q
    store    = %q
    wpbake   = %q
    no_sudo  = true
  }
  provisioner "shell" {
    inline = ["ls -d /srv/wordpress/releases/*/wordpress/index.php"]
  }
}
`, digest, setting(t, "STORE"), setting(t, "WPBAKE")), 0, `wpbake-release \[\]string\{"v1", "`+digest, "/srv/wordpress/releases/[0-9a-f]{12}/wordpress/index.php")
}

func TestAccPostProcessor(t *testing.T) {
	digest, store := setting(t, "DIGEST"), setting(t, "STORE")
	tags := fmt.Sprintf("tags = {\n    \"wpbake:manifest\" = %q\n    \"wpbake:store\"    = %q\n  }", digest, store)
	accept(t, "postprocessor", instance(t, tags)+fmt.Sprintf(`
build {
  sources = ["source.amazon-ebs.acc"]
  post-processor "wpbake-image" {
    version  = "v1"
    manifest = %q
    store    = %q
  }
}
`, digest, store), 0, `wpbake-image \[\]string\{`, "Release v1 is in [a-z0-9-]+:ami-[0-9a-f]+")
}

func TestAccPostProcessorWithoutImage(t *testing.T) {
	accept(t, "noimage", fmt.Sprintf(`
source "file" "acc" {
  content = "no image"
  target  = "made"
}
build {
  sources = ["source.file.acc"]
  post-processor "wpbake-image" {
    version  = "v1"
    manifest = %q
  }
}
`, setting(t, "DIGEST")), 1, "recording images: the artifact")
}
