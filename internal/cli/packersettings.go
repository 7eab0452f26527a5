package cli

import (
	"errors"
	"strconv"
)

// PackerConfig is how Packer builds AMIs. What is empty is left to the
// template.
type PackerConfig struct {
	Program         string
	Template        string // empty: the one in wpbake
	BaseImage       string
	BaseName        string
	InstanceType    string
	InstanceProfile string
	Subnet          string
	SSHUser         string
	SSHPort         int
	Wpbake          string // to install on the instance
}

func packerSettings() []setting {
	return []setting{
		{key: "packer.program", kind: "PROGRAM", usage: "the Packer that builds AMIs (default packer, on PATH)",
			set: text(func(c *Config) *string { return &c.Packer.Program })},
		{key: "packer.template", kind: "FILE", usage: "a template of your own for AMIs (default the one in wpbake, packer/release.pkr.hcl)",
			set: text(func(c *Config) *string { return &c.Packer.Template })},
		{key: "packer.base_image", kind: "IMAGE", usage: "the AMI to start from (default the newest of packer.base_name)",
			set: text(func(c *Config) *string { return &c.Packer.BaseImage })},
		{key: "packer.base_name", kind: "PATTERN", usage: "names of this account's base images (default wpbake-base-*)",
			set: text(func(c *Config) *string { return &c.Packer.BaseName })},
		{key: "packer.instance_type", kind: "TYPE", usage: "of the build instance (default t3.small)",
			set: text(func(c *Config) *string { return &c.Packer.InstanceType })},
		{key: "packer.instance_profile", kind: "NAME", usage: "lets the build instance read the store",
			set: text(func(c *Config) *string { return &c.Packer.InstanceProfile })},
		{key: "packer.subnet", kind: "SUBNET", usage: "of the build instance (default the default VPC's)",
			set: text(func(c *Config) *string { return &c.Packer.Subnet })},
		{key: "packer.ssh_user", kind: "NAME", usage: "user of the base image (default admin)",
			set: text(func(c *Config) *string { return &c.Packer.SSHUser })},
		{key: "packer.ssh_port", kind: "PORT", usage: "of the build instance (default 22)", set: func(c *Config, v []string) error {
			n, err := strconv.Atoi(v[0])
			if err != nil || n < 1 || n > 65535 {
				return errors.New("want a port from 1 to 65535")
			}
			c.Packer.SSHPort = n
			return nil
		}},
		{key: "packer.wpbake", kind: "FILE", usage: "a wpbake to install into the AMI, for its architecture (default the base image has one)",
			set: text(func(c *Config) *string { return &c.Packer.Wpbake })},
	}
}
