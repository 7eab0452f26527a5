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
	if err := p.Configure(map[string]any{"version": "v42", "digest": "sha256:1", "output": output}); err != nil {
		t.Fatal(err)
	}
	made := &packersdk.MockArtifact{IdValue: "eu-central-1:ami-1,us-east-1:ami-2"}
	got, keep, force, err := p.PostProcess(context.Background(), packersdk.TestUi(t), made)
	if err != nil || got != packersdk.Artifact(made) || !keep || !force {
		t.Errorf("got %v, %t, %t, %v: an image that is not kept is deregistered", got, keep, force, err)
	}
	text, err := os.ReadFile(output)
	if want := `{"version":"v42","digest":"sha256:1","images":{"eu-central-1":"ami-1","us-east-1":"ami-2"}}` + "\n"; err != nil || string(text) != want {
		t.Errorf("recorded %s, %v", text, err)
	}
	_, keep, _, err = p.PostProcess(context.Background(), packersdk.TestUi(t), &packersdk.MockArtifact{IdValue: "some file"})
	if err == nil || !keep {
		t.Errorf("an artifact without images: %v, kept %t", err, keep)
	}
	if err := new(PostProcessor).Configure(map[string]any{"version": "v42"}); err == nil {
		t.Error("a record without digest")
	}
}
