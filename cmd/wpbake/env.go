package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/source"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/spelling"
	"github.com/wpbake/wpbake/rollout"
)

// env is what commands are made of. A command takes from it what it needs and
// hands that on: nothing below a newXCommand knows it.
type env struct {
	cli.Process
	out      *cli.Output
	settings *cli.Sources
	open     opener
}

// newEnv has no settings yet: flags are parsed later.
func newEnv(p cli.Process, afterStep func(rollout.Step)) *env {
	return &env{
		Process:  p,
		out:      cli.NewOutput(p),
		settings: &cli.Sources{Env: p.Env, RelativeTree: source.In},
		open:     opener{env: p.Env, afterStep: afterStep},
	}
}

// invocation is a command line whose settings are read.
type invocation struct {
	cmd      *cobra.Command
	cfg      cli.Config
	args     []string
	versions []artifact.Version // those of args that are called VERSION
}

// usage is an error about the command line.
func (in invocation) usage(err error) error { return cli.Usage(in.cmd, err) }

// version is the first VERSION, empty where it was left out.
func (in invocation) version() artifact.Version {
	if len(in.versions) == 0 {
		return ""
	}
	return in.versions[0]
}

// prepared is what every command with settings begins with: it reads them,
// parses the arguments that Use calls VERSION and refuses the command where a
// setting that it needs is missing.
func (e *env) prepared(run func(context.Context, invocation) error, needs ...string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := e.settings.Load()
		if err != nil {
			return err
		}
		in := invocation{cmd: cmd, cfg: cfg, args: args}
		for i, name := range argumentNames(cmd) {
			if i < len(args) && strings.Trim(name, "[]") == "VERSION" {
				v, err := artifact.ParseVersion(args[i])
				if err != nil {
					return in.usage(err)
				}
				in.versions = append(in.versions, v)
			}
		}
		if err := cfg.Need(needs...); err != nil {
			return err
		}
		return run(cmd.Context(), in)
	}
}

// argumentNames are the words after a command's own in its Use.
func argumentNames(cmd *cobra.Command) []string { return strings.Fields(cmd.Use)[1:] }

// exactArgs asks for the arguments that a command's Use names; those in
// brackets may be absent.
func exactArgs(cmd *cobra.Command, args []string) error {
	names := argumentNames(cmd)
	optional := func(name string) bool { return strings.HasPrefix(name, "[") }
	need := len(names)
	if i := slices.IndexFunc(names, optional); i >= 0 {
		need = i
	}
	switch {
	case len(args) < need:
		return cli.Usage(cmd, fmt.Errorf("missing %s", names[len(args)]))
	case len(args) > len(names):
		return cli.Usage(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
	}
	return nil
}

// subcommand refuses a word that names no command, and names the nearest.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q of %q", args[0], cmd.CommandPath())
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if near := spelling.Nearest(args[0], names); near != "" {
		return cli.Misuse(err, cmd.CommandPath()+" "+near)
	}
	return cli.Usage(cmd, err)
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// storeKeys are those of a command that opens a store.
func storeKeys() []string { return []string{"store", "region", "bucket_owner"} }

// groupKeys are those of a command about a group.
func groupKeys() []string { return append([]string{"group"}, storeKeys()...) }

// rolloutKeys are those of a command that moves a group.
func rolloutKeys() []string {
	return append([]string{
		"first_node.timeout", "poll", "lock.lease", "database.command", "database.snapshot",
		"refresh.min_healthy", "refresh.max_healthy", "refresh.warmup", "refresh.bake_time",
		"refresh.checkpoints", "refresh.checkpoint_delay", "refresh.alarms", "refresh.protected", "refresh.standby",
	}, groupKeys()...)
}

// checkKeys are those of a command that looks at a tree.
func checkKeys() []string {
	return []string{"tree", "exclude", "check.cron", "check.node", "check.node_php", "check.php", "check.checksums", "check.strict"}
}

// treeKeys are those of a command that builds a tree.
func treeKeys() []string { return append([]string{"cache", "carry_assets"}, checkKeys()...) }

// bakeKeys are those of every bake, whatever is baked.
func bakeKeys() []string {
	return []string{
		"bake.regions", "bake.accounts", "bake.kms_key", "bake.deprecate_after", "bake.initialization_rate", "bake.timeout",
		"packer.program", "packer.template", "packer.base_image", "packer.base_name", "packer.instance_type",
		"packer.instance_profile", "packer.subnet", "packer.ssh_user", "packer.ssh_port", "packer.wpbake",
	}
}

// manifestFlag adds the flag that names which manifest a published version must
// have. Nothing completes it: the store would be asked what to expect of it.
func manifestFlag(cmd *cobra.Command, d *artifact.Digest) {
	addManifestFlag(cmd, (*digestValue)(d), "refuse the version unless its manifest has this `DIGEST`")
}

func addManifestFlag(cmd *cobra.Command, value pflag.Value, usage string) {
	cmd.Flags().Var(value, "manifest", usage)
	if err := cmd.RegisterFlagCompletionFunc("manifest", cobra.NoFileCompletions); err != nil {
		panic(err) // the flag is there, and nobody else completes it
	}
}

// pinned is a published version, and the manifest that it must have; empty takes
// the store's.
type pinned struct {
	version  artifact.Version
	manifest artifact.Digest
}

// find returns the version's manifest and its digest.
func (n pinned) find(ctx context.Context, store artifact.ReleaseStore) (artifact.Manifest, artifact.Digest, error) {
	return artifact.FindPinned(ctx, store, n.version, n.manifest)
}

// digestValue is a flag's digest. An empty one is refused where it is given: a
// variable of a script that was not set must not take any manifest.
type digestValue artifact.Digest

// Set implements pflag.Value.
func (v *digestValue) Set(s string) error {
	d, err := artifact.ParseDigest(s)
	*v = digestValue(d)
	return err
}

// String implements pflag.Value.
func (v *digestValue) String() string { return string(*v) }

// Type implements pflag.Value.
func (v *digestValue) Type() string { return "digest" }

// digestValues is a flag that may be given more than once.
type digestValues []artifact.Digest

// Set implements pflag.Value.
func (v *digestValues) Set(s string) error {
	d, err := artifact.ParseDigest(s)
	*v = append(*v, d)
	return err
}

// String implements pflag.Value.
func (v *digestValues) String() string { return "" }

// Type implements pflag.Value.
func (v *digestValues) Type() string { return "digest" }

// completionTimeout is how long a shell waits for completions: a slow store
// gives none.
const completionTimeout = 2 * time.Second

// completeVersions offers the versions in the configured store where a
// command's Use says VERSION.
func (e *env) completeVersions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := argumentNames(cmd)
	if len(args) >= len(names) || strings.Trim(names[len(args)], "[]") != "VERSION" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	versions, err := e.versions(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, v := range versions {
		found = append(found, string(v))
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

func (e *env) versions(ctx context.Context) ([]artifact.Version, error) {
	cfg, err := e.settings.Load()
	if err != nil {
		return nil, err
	}
	store, err := readReleases(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return artifact.Versions(ctx, store)
}
