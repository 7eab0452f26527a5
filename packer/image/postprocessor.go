// Package image writes down which images a build made of a release.
package image

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

// Config is the body of a post-processor "wpbake-image" block.
type Config struct {
	Version string `mapstructure:"version" required:"true"`
	Digest  string `mapstructure:"digest" required:"true"`
	// Output is the file that the record is written to; "" for none.
	Output string `mapstructure:"output"`
}

// Record is what was made of a release.
type Record struct {
	Version string            `json:"version"`
	Digest  string            `json:"digest"`
	Images  map[string]string `json:"images"` // by region
}

// PostProcessor records the images of Amazon's builders and leaves them as
// they are.
type PostProcessor struct{ config Config }

// ConfigSpec implements packersdk.PostProcessor.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packersdk.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error {
	if err := config.Decode(&p.config, nil, raws...); err != nil {
		return err
	}
	if p.config.Version == "" || p.config.Digest == "" {
		return fmt.Errorf("version and digest must be set")
	}
	return nil
}

// PostProcess implements packersdk.PostProcessor. The artifact's state is never
// written: Packer keeps the build's private key in it.
func (p *PostProcessor) PostProcess(_ context.Context, ui packersdk.Ui, artifact packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	record := Record{Version: p.config.Version, Digest: p.config.Digest, Images: map[string]string{}}
	for _, one := range strings.Split(artifact.Id(), ",") {
		region, id, ok := strings.Cut(one, ":")
		if !ok || !strings.HasPrefix(id, "ami-") {
			return artifact, true, true, fmt.Errorf("recording images: the artifact %q of %s is none", artifact.Id(), artifact.BuilderId())
		}
		record.Images[region] = id
	}
	text, err := json.Marshal(record)
	if err == nil && p.config.Output != "" {
		err = replaceFile(p.config.Output, append(text, '\n'))
	}
	if err != nil {
		return artifact, true, true, fmt.Errorf("recording images: %w", err)
	}
	ui.Machine("wpbake-image", string(text))
	ui.Say(fmt.Sprintf("Release %s is in %s", p.config.Version, artifact.Id()))
	return artifact, true, true, nil
}

func replaceFile(name string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Chmod(file.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
