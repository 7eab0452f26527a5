package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/node"
)

// nodeConfig is the node's own configuration, below its prefix.
const nodeConfig = "/etc/wpbake/node.yaml"

func (c *cli) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "What an instance runs: boot a release, tell what it serves",
		GroupID: groupNode,
		Args:    c.subcommand,
		RunE:    showHelp,
	}
	cmd.AddCommand(c.nodeBootCommand(), c.nodeStatusCommand())
	return cmd
}

type nodeBootOptions struct {
	version  artifact.Version
	manifest artifact.Digest
	run      string
	hook     string
	config   string
	prefix   string
}

func (c *cli) nodeBootCommand() *cobra.Command {
	var o nodeBootOptions
	var version, manifest string
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Fetch, verify and serve the release that user data pins",
		Long: `Runs at the end of an instance's user data. It serves exactly the release whose
manifest digest is given, or tells the lifecycle hook to abandon the instance.`,
		Example: `  # what wpbake release writes into user data on the local cloud:
  wpbake node boot --store s3://releases/shop --version v1 --manifest sha256:… \
    --group shop --run 20261123T201500Z-1a2b3c --hook wpbake-boot`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.version, err = parseVersion(cmd, version); err != nil {
				return err
			}
			if o.manifest, err = artifact.ParseDigest(manifest); err != nil {
				return usage(cmd, err)
			}
			// A node's decisions stand in its user data, not in a file that
			// happens to lie in its working directory.
			var cfg Config
			if err := c.override(&cfg); err != nil {
				return err
			}
			return c.nodeBoot(cmd.Context(), cfg, o)
		},
	}
	c.settingFlags(cmd, groupKeys...)
	f := cmd.Flags()
	f.StringVar(&version, "version", "", "the `VERSION`")
	f.StringVar(&manifest, "manifest", "", "its manifest's `DIGEST`: nothing else is served")
	f.StringVar(&o.run, "run", "", "the `RUN` that wrote the user data")
	f.StringVar(&o.hook, "hook", "", "the lifecycle `HOOK` to tell the result")
	c.nodePlaceFlags(cmd, &o.config, &o.prefix)
	return cmd
}

// nodePlaceFlags are the flags that say where a node's files are. --config is
// the node's own configuration here.
func (c *cli) nodePlaceFlags(cmd *cobra.Command, config, prefix *string) {
	root, _ := c.Env("INSTANCE_ROOT")
	cmd.Flags().StringVar(config, "config", "", "the node's configuration `FILE` (default "+nodeConfig+")")
	cmd.Flags().StringVar(prefix, "prefix", root, "`DIR` before every path of the node (default $INSTANCE_ROOT)")
}

func (o nodeBootOptions) configFile() string {
	if o.config != "" {
		return o.config
	}
	return filepath.Join("/", o.prefix, nodeConfig)
}

func (c *cli) nodeBoot(ctx context.Context, cfg Config, o nodeBootOptions) error {
	if err := cfg.need("store", "group"); err != nil {
		return err
	}
	nc, err := readNodeConfig(o.configFile(), o.prefix)
	if err != nil {
		return err
	}
	clients, err := nodeAWS(ctx, cfg)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, cfg, clients)
	if err != nil {
		return err
	}
	opts := node.Options{
		Store: store, Config: nc, Version: o.version, Manifest: o.manifest, Group: cfg.Group, Run: o.run, Hook: o.hook,
		Metadata: clients.Metadata(), Lifecycle: clients.Lifecycle(), Parameters: clients.Parameters(),
	}
	if !c.flags.quiet && !c.flags.json {
		opts.Log = c.Stderr
	}
	report, err := node.Boot(ctx, opts)
	if oerr := c.object(report); oerr != nil && err == nil {
		err = oerr
	}
	if err == nil && report.Verdict != node.Good {
		err = fmt.Errorf("booting %s: stage %s: %s", o.version, report.Stage, report.Cause)
	}
	if err == nil {
		c.say("%s serves %s %s", report.Instance, report.Version, report.Manifest.Short())
	}
	return err
}

func readNodeConfig(file, prefix string) (node.Config, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return node.Config{}, &hintedError{err: fmt.Errorf("no node configuration %q", file), hint: "the image or the group's user data writes it"}
	}
	if err != nil {
		return node.Config{}, fmt.Errorf("reading node configuration: %w", err)
	}
	nc, err := node.ParseConfig(data)
	if err != nil {
		return node.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return nc.Rebase(prefix), nil
}

// nodeAWS connects from an instance, which knows its region only from its
// metadata service.
func nodeAWS(ctx context.Context, cfg Config) (*aws.Clients, error) {
	clients, err := loadAWS(ctx, cfg)
	if err != nil || cfg.Region != "" {
		return clients, err
	}
	me, err := clients.Metadata().Instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the metadata service who this instance is: %w", err)
	}
	cfg.Region = me.Region
	return loadAWS(ctx, cfg)
}

func (c *cli) nodeStatusCommand() *cobra.Command {
	return &cobra.Command{Use: "status"}
}
