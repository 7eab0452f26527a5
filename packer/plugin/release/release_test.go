package release

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

const digest = "sha256:57f7dc9bf87f39bc1aad9c1b4763118ce8ac05ba6aac1d8d800d2441bb38ffc9"

// fake is a wpbake that answers with text and status.
func fake(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wpbake")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDatasource(t *testing.T) {
	d := &Datasource{}
	err := d.Configure(map[string]any{
		"version": "v42", "store": "s3://b/p",
		"wpbake": fake(t, `[ "$*" = "show v42 --json --store s3://b/p" ] && echo '{"version":"v42","manifest":"`+digest+`"}'`),
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := d.Execute()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"version": "v42", "manifest": digest, "short": "57f7dc9bf87f"} {
		if got := value.GetAttr(name).AsString(); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestDatasourceRefuses(t *testing.T) {
	for want, config := range map[string]map[string]any{
		"exit status 1: wpbake: error: no version": {"version": "v42", "wpbake": fake(t, "echo wpbake: error: no version >&2; exit 1")},
		`manifest "sha256:1"`:                      {"version": "v42", "wpbake": fake(t, `echo '{"manifest":"sha256:1"}'`)},
		`version "v42; reboot"`:                    {"version": "v42; reboot", "wpbake": fake(t, "")},
		"set wpbake to the path":                   {"version": "v42", "wpbake": "/nowhere/wpbake"},
	} {
		d := &Datasource{}
		err := d.Configure(config)
		if err == nil {
			_, err = d.Execute()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// provision runs a provisioner against a machine whose commands all end with
// status, and returns what was run last and the error.
func provision(t *testing.T, config map[string]any, status int) (*packersdk.MockCommunicator, error) {
	t.Helper()
	p := &Provisioner{}
	if err := p.Prepare(config); err != nil {
		return nil, err
	}
	machine := &packersdk.MockCommunicator{StartExitStatus: status}
	return machine, p.Provision(context.Background(), packersdk.TestUi(t), machine, nil)
}

func TestProvisioner(t *testing.T) {
	config := map[string]any{"version": "v42", "manifest": digest, "store": "s3://b/it's", "wpbake": fake(t, "exit 0")}
	machine, err := provision(t, config, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !machine.UploadCalled || machine.UploadPath != "/tmp/wpbake-upload" || !strings.HasPrefix(machine.UploadData, "#!/bin/sh") {
		t.Errorf("uploaded %q to %q", machine.UploadData, machine.UploadPath)
	}
	if machine.StartCmd.Command != "sudo -E 'sync'" {
		t.Errorf("the last command is %q", machine.StartCmd.Command)
	}
	if _, err = provision(t, config, 7); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("a command that failed: %v", err)
	}
	delete(config, "wpbake")
	if machine, err = provision(t, config, 0); err != nil || machine.UploadCalled {
		t.Errorf("without a program %v, uploaded %t", err, machine.UploadCalled)
	}
}

func TestWordsStayWords(t *testing.T) {
	if got, want := quoted("a b", "it's", "$x"), `'a b' 'it'\''s' '$x'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProvisionerRefuses(t *testing.T) {
	for want, change := range map[string]func(map[string]any){
		"manifest":     func(c map[string]any) { c["manifest"] = "sha256:1" },
		"store":        func(c map[string]any) { c["store"] = "dir:///tmp" },
		"root":         func(c map[string]any) { c["root"] = "srv" },
		"install_path": func(c map[string]any) { c["install_path"] = "bin/wpbake" },
		"version":      func(c map[string]any) { c["version"] = "" },
		"no such file": func(c map[string]any) { c["wpbake"] = "/nowhere/wpbake" },
	} {
		config := map[string]any{"version": "v42", "manifest": digest, "store": "s3://b/p"}
		change(config)
		if _, err := provision(t, config, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestValidationAsksNoDataSource(t *testing.T) {
	p := &Provisioner{}
	if err := p.Prepare(map[string]any{"version": "v42", "manifest": unknown, "store": "s3://b/p"}); err != nil {
		t.Error(err)
	}
}
