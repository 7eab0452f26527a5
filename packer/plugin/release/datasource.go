//go:generate go tool packer-sdc mapstructure-to-hcl2 -type DatasourceConfig,DatasourceOutput,ProvisionerConfig

package release

import (
	"context"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/wpbake/wpbake/packer/plugin/program"
)

// DatasourceConfig is the body of a data "wpbake-release" block.
type DatasourceConfig struct {
	Version string `mapstructure:"version" required:"true"`
	// Store is s3://BUCKET/PREFIX; without it, what wpbake is configured with.
	Store string `mapstructure:"store"`
	// Wpbake is the program, by default the one on PATH.
	Wpbake string `mapstructure:"wpbake"`
}

// DatasourceOutput is what the block gives.
type DatasourceOutput struct {
	Version string `mapstructure:"version"`
	// Manifest is the digest of its manifest, the release's identity.
	Manifest string `mapstructure:"manifest"`
	// Short is that in short, as in the names of directories and images.
	Short string `mapstructure:"short"`
}

// Datasource finds a published version.
type Datasource struct {
	config DatasourceConfig
	wpbake string
}

// ConfigSpec implements packersdk.Datasource.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec implements packersdk.Datasource.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec {
	return new(DatasourceOutput).FlatMapstructure().HCL2Spec()
}

// Configure implements packersdk.Datasource.
func (d *Datasource) Configure(raws ...any) error {
	if err := config.Decode(&d.config, nil, raws...); err != nil {
		return err
	}
	problems := &packersdk.MultiError{}
	if err := checkVersion(d.config.Version); err != nil {
		problems = packersdk.MultiErrorAppend(problems, err)
	}
	var err error
	if d.wpbake, err = program.Find(d.config.Wpbake); err != nil {
		problems = packersdk.MultiErrorAppend(problems, err)
	}
	if len(problems.Errors) > 0 {
		return problems
	}
	return nil
}

// Execute implements packersdk.Datasource.
func (d *Datasource) Execute() (cty.Value, error) {
	found, err := Find(context.Background(), d.wpbake, d.config.Store, d.config.Version)
	if err != nil {
		return cty.NullVal(cty.EmptyObject), err
	}
	output := DatasourceOutput{Version: found.Version, Manifest: found.Manifest, Short: short(found.Manifest)}
	return hcl2helper.HCL2ValueFromConfig(output, d.OutputSpec()), nil
}
