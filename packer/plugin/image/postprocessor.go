// Package image writes down which images a build made of a release.
package image

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/wpbake/wpbake/packer/plugin/program"
)

// Config is the body of a post-processor "wpbake-image" block.
type Config struct {
	Version string `mapstructure:"version" required:"true"`
	// Manifest is the digest of its manifest, the release's identity.
	Manifest string `mapstructure:"manifest" required:"true"`
	// Store is where the release is published: the images are recorded beside
	// it. "" records them nowhere but in Output.
	Store string `mapstructure:"store"`
	// Wpbake is the program, by default the one on PATH.
	Wpbake string `mapstructure:"wpbake"`
	// Output is a file that the record is written to; "" for none.
	Output string `mapstructure:"output"`
}

// Record is what was made of a release.
type Record struct {
	Version  string            `json:"version"`
	Manifest string            `json:"manifest"`
	Images   map[string]string `json:"images"` // by region
}

// recorded is what wpbake answers when it has recorded images.
type recorded struct {
	Images []struct {
		Image string `json:"image"`
	} `json:"images"`
}

// PostProcessor records the images of Amazon's builders and leaves them as
// they are.
type PostProcessor struct {
	config Config
	wpbake string // "" when nothing is put into a store
}

// ConfigSpec implements packersdk.PostProcessor.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packersdk.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error {
	if err := config.Decode(&p.config, nil, raws...); err != nil {
		return err
	}
	if p.config.Version == "" || p.config.Manifest == "" {
		return fmt.Errorf("version and manifest must be set")
	}
	if p.config.Store == "" {
		return nil
	}
	var err error
	p.wpbake, err = program.Find(p.config.Wpbake)
	return err
}

// PostProcess implements packersdk.PostProcessor. The artifact's state is never
// written: Packer keeps the build's private key in it.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, artifact packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	record := Record{Version: p.config.Version, Manifest: p.config.Manifest, Images: map[string]string{}}
	for _, one := range strings.Split(artifact.Id(), ",") {
		region, id, ok := strings.Cut(one, ":")
		if !ok || !strings.HasPrefix(id, "ami-") {
			return artifact, true, true, fmt.Errorf("recording images: the artifact %q of %s is none", artifact.Id(), artifact.BuilderId())
		}
		record.Images[region] = id
	}
	text, err := json.Marshal(record)
	if err == nil && p.wpbake != "" {
		err = p.store(ctx, record)
	}
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

// store has wpbake look at the images and record them beside the release.
func (p *PostProcessor) store(ctx context.Context, record Record) error {
	words := []string{"record-image", record.Version, "--manifest", record.Manifest, "--store", p.config.Store, "--json"}
	for _, region := range slices.Sorted(maps.Keys(record.Images)) {
		words = append(words, region+":"+record.Images[region])
	}
	var answer recorded
	if err := program.Ask(ctx, p.wpbake, &answer, words...); err != nil {
		return err
	}
	if len(answer.Images) != len(record.Images) {
		return fmt.Errorf("%s recorded %d of %d", p.wpbake, len(answer.Images), len(record.Images))
	}
	return nil
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
