package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

// ProvisionerConfig is the body of a provisioner "wpbake-release" block.
type ProvisionerConfig struct {
	Version string `mapstructure:"version" required:"true"`
	// Manifest is the digest of its manifest; nothing else is installed.
	Manifest string `mapstructure:"manifest" required:"true"`
	// Store is s3://BUCKET/PREFIX, as the instance reaches it: its instance
	// profile must allow reading.
	Store string `mapstructure:"store" required:"true"`
	// Root is where nodes keep releases, by default /srv/wordpress.
	Root string `mapstructure:"root"`
	// Wpbake is the program to install into the image, for the image's
	// architecture. Without it the image must have one already.
	Wpbake string `mapstructure:"wpbake"`
	// InstallPath is where the program goes, by default /usr/local/bin/wpbake.
	InstallPath string `mapstructure:"install_path"`
	// NoSudo is for a user that is root already.
	NoSudo bool `mapstructure:"no_sudo"`
}

// unknown is what Packer gives for a value that a data source will have; packer
// validate asks none.
const unknown = "<unknown>"

// Provisioner installs a release, verified, where a node looks for it: a node
// that boots from the image downloads nothing.
type Provisioner struct{ config ProvisionerConfig }

// ConfigSpec implements packersdk.Provisioner.
func (p *Provisioner) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Prepare implements packersdk.Provisioner.
func (p *Provisioner) Prepare(raws ...any) error {
	if err := config.Decode(&p.config, nil, raws...); err != nil {
		return err
	}
	p.config.Root = cmp.Or(p.config.Root, "/srv/wordpress")
	p.config.InstallPath = cmp.Or(p.config.InstallPath, "/usr/local/bin/wpbake")
	problems := &packersdk.MultiError{}
	add := func(err error) {
		if err != nil {
			problems = packersdk.MultiErrorAppend(problems, err)
		}
	}
	add(checkVersion(p.config.Version))
	if p.config.Manifest != unknown {
		add(checkManifest(p.config.Manifest))
	}
	if !strings.HasPrefix(p.config.Store, "s3://") && !strings.HasPrefix(p.config.Store, "oci://") {
		add(fmt.Errorf("store %q: must be s3://BUCKET/PREFIX or oci://HOST/REPO, which the instance can reach", p.config.Store))
	}
	for name, value := range map[string]string{"root": p.config.Root, "install_path": p.config.InstallPath} {
		if !path.IsAbs(value) {
			add(fmt.Errorf("%s %q: must be absolute", name, value))
		}
	}
	if p.config.Wpbake != "" {
		_, err := os.Stat(p.config.Wpbake)
		add(err)
	}
	if len(problems.Errors) > 0 {
		return problems
	}
	return nil
}

// Provision implements packersdk.Provisioner.
func (p *Provisioner) Provision(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator, _ map[string]any) error {
	if p.config.Wpbake != "" {
		if err := p.install(ctx, ui, comm); err != nil {
			return err
		}
	}
	releases := path.Join(p.config.Root, "releases")
	dest := path.Join(releases, short(p.config.Manifest))
	ui.Say(fmt.Sprintf("Fetching release %s %s into %s", p.config.Version, p.config.Manifest, dest))
	for _, line := range []string{
		p.root("mkdir", "-p", releases),
		p.root(p.config.InstallPath, "fetch", p.config.Version, dest, "--manifest", p.config.Manifest, "--store", p.config.Store),
		p.root("sync"),
	} {
		if err := run(ctx, ui, comm, line); err != nil {
			return err
		}
	}
	ui.Machine("wpbake-release", p.config.Version, p.config.Manifest, dest)
	return nil
}

// install uploads the program and puts it into its place.
func (p *Provisioner) install(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator) error {
	program, err := os.Open(p.config.Wpbake)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Stat()
	if err != nil {
		return err
	}
	ui.Say("Installing wpbake as " + p.config.InstallPath)
	const uploaded = "/tmp/wpbake-upload"
	if err := comm.Upload(uploaded, program, &info); err != nil {
		return fmt.Errorf("uploading wpbake: %w", err)
	}
	return errors.Join(
		run(ctx, ui, comm, p.root("install", "-D", "-m", "0755", uploaded, p.config.InstallPath)),
		run(ctx, ui, comm, quoted("rm", "-f", uploaded)))
}

// root is a command line that root runs.
func (p *Provisioner) root(words ...string) string {
	if p.config.NoSudo {
		return quoted(words...)
	}
	return "sudo -E " + quoted(words...)
}

// quoted is a command line of these words and nothing else.
func quoted(words ...string) string {
	for i, word := range words {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

func run(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator, line string) error {
	cmd := &packersdk.RemoteCmd{Command: line}
	if err := cmd.RunWithUi(ctx, comm, ui); err != nil {
		return fmt.Errorf("running %s: %w", line, err)
	}
	if status := cmd.ExitStatus(); status != 0 {
		return fmt.Errorf("running %s: exit status %d", line, status)
	}
	return nil
}
