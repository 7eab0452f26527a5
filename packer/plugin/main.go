// Packer-plugin-wpbake lets Packer put a release into an image: a data source
// that finds a published version, a provisioner that installs it, and a
// post-processor that writes down what was made.
//
// It drives the wpbake program, which knows stores and artifacts, and talks to
// no cloud itself. Packer's SDK compiles only with a replace directive; hence
// the module of its own.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/plugin"
	"github.com/hashicorp/packer-plugin-sdk/version"

	"github.com/wpbake/wpbake/packer/plugin/image"
	"github.com/wpbake/wpbake/packer/plugin/release"
)

func main() {
	set := plugin.NewSet()
	set.RegisterDatasource("release", new(release.Datasource))
	set.RegisterProvisioner("release", new(release.Provisioner))
	set.RegisterPostProcessor("image", new(image.PostProcessor))
	set.SetVersion(version.NewPluginVersion("0.1.0", "dev", ""))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "packer-plugin-wpbake:", err)
		os.Exit(1)
	}
}
