// Package packer holds the templates that wpbake gives to the packer program,
// as files: those in this folder, which anybody can build by hand, are the ones
// in wpbake. The plugin that they use is a module of its own, in plugin.
package packer

import "embed"

// Files are the templates and what they refer to.
//
//go:embed *.pkr.hcl scripts files
var Files embed.FS
