package image

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

func TestRecord(t *testing.T) {
	output := filepath.Join(t.TempDir(), "record.json")
	p := &PostProcessor{}
	if err := p.Configure(map[string]any{"version": "v42", "manifest": "sha256:1", "output": output}); err != nil {
		t.Fatal(err)
	}
	made := &packersdk.MockArtifact{IdValue: "eu-central-1:ami-1,us-east-1:ami-2"}
	got, keep, force, err := p.PostProcess(context.Background(), packersdk.TestUi(t), made)
	if err != nil || got != packersdk.Artifact(made) || !keep || !force {
		t.Errorf("got %v, %t, %t, %v: an image that is not kept is deregistered", got, keep, force, err)
	}
	text, err := os.ReadFile(output)
	if want := `{"version":"v42","manifest":"sha256:1","images":{"eu-central-1":"ami-1","us-east-1":"ami-2"}}` + "\n"; err != nil || string(text) != want {
		t.Errorf("recorded %s, %v", text, err)
	}
	_, keep, _, err = p.PostProcess(context.Background(), packersdk.TestUi(t), &packersdk.MockArtifact{IdValue: "some file"})
	if err == nil || !keep {
		t.Errorf("an artifact without images: %v, kept %t", err, keep)
	}
	if err := new(PostProcessor).Configure(map[string]any{"version": "v42"}); err == nil {
		t.Error("a record without a manifest")
	}
}

func TestRecordInAStore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "wpbake")
	script := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>" + dir + "/asked\necho \"$ANSWER\"\n"
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ANSWER", `{"images":[{"image":"ami-1"},{"image":"ami-2"}]}`)
	p := &PostProcessor{}
	if err := p.Configure(map[string]any{"version": "v42", "manifest": "sha256:1", "store": "s3://b/p", "wpbake": file}); err != nil {
		t.Fatal(err)
	}
	made := &packersdk.MockArtifact{IdValue: "us-east-1:ami-2,eu-central-1:ami-1"}
	if _, keep, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), made); err != nil || !keep {
		t.Fatalf("%v, kept %t", err, keep)
	}
	asked, err := os.ReadFile(dir + "/asked")
	if want := "record-image v42 --manifest sha256:1 --store s3://b/p --json eu-central-1:ami-1 us-east-1:ami-2\n"; err != nil || string(asked) != want {
		t.Errorf("asked %s, %v; want %s", asked, err, want)
	}
	t.Setenv("ANSWER", `{"images":[{"image":"ami-1"}]}`)
	if _, keep, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), made); err == nil || !keep {
		t.Errorf("an image that was not recorded: %v, kept %t", err, keep)
	}
	if err := p.Configure(map[string]any{"version": "v42", "manifest": "sha256:1", "store": "s3://b/p", "wpbake": "/nowhere/wpbake"}); err == nil {
		t.Error("no program to record with")
	}
}
