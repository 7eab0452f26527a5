package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

// nodeConfig is the node's own configuration, below its prefix.
const nodeConfig = "/etc/wpbake/node.yaml"

func (c *cli) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "What an instance runs: boot a release, tell what it serves, ask its database",
		GroupID: groupNode,
		Args:    c.subcommand,
		RunE:    showHelp,
	}
	cmd.AddCommand(c.nodeBootCommand(), c.nodeResumeCommand(), c.nodeReadyCommand(), c.nodeStatusCommand(), c.nodeDatabaseCommand(), c.nodeSchemaCommand())
	return cmd
}

type nodeBootOptions struct {
	version  artifact.Version
	manifest artifact.Digest
	run      string
	hook     string
	volume   node.Volume
	place    nodePlace
}

func (c *cli) nodeBootCommand() *cobra.Command {
	var o nodeBootOptions
	var version, manifest, image string
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
			if version == "" || manifest == "" {
				return usage(cmd, errors.New("missing --version or --manifest: the two pin what is served"))
			}
			if o.version, err = parseVersion(cmd, version); err != nil {
				return err
			}
			if o.manifest, err = artifact.ParseDigest(manifest); err != nil {
				return usage(cmd, err)
			}
			if o.volume.Snapshot != "" {
				if o.volume.Image, err = artifact.ParseDigest(image); err != nil {
					return usage(cmd, err)
				}
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
	f.StringVar(&o.volume.Snapshot, "volume", "", "the `SNAPSHOT` of the release volume that the template attaches")
	f.StringVar(&image, "image", "", "with --volume, the `DIGEST` of the file system on it")
	o.place.flags(cmd, c.instanceRoot())
	return cmd
}

func (c *cli) nodeBoot(ctx context.Context, cfg Config, o nodeBootOptions) error {
	if err := cfg.need("store", "group"); err != nil {
		return err
	}
	clients, store, err := openWithAWS(ctx, cfg)
	if err != nil {
		return err
	}
	opts := node.Options{
		Store: store, Version: o.version, Manifest: o.manifest, Group: cfg.Group, Run: o.run, Hook: o.hook, Volume: o.volume,
		Metadata: clients.Metadata(), Lifecycle: clients.Lifecycle(), Parameters: clients.Parameters(),
	}
	if o.place.prefix != "" {
		opts.Volume.Disks = filepath.Join(o.place.prefix, "dev", "disk", "by-uuid")
	}
	if !c.flags.quiet && !c.flags.json {
		opts.Log = c.Stderr
	}
	var report node.Report
	if opts.Config, err = readNodeConfig(o.place); err != nil {
		// The hook must hear of it, or the node hangs until its timeout.
		report, err = node.Refuse(ctx, opts, err)
	} else {
		restore := fetchMemory.bound()
		report, err = node.Boot(ctx, opts)
		restore()
	}
	if oerr := c.object(report); oerr != nil && err == nil {
		err = oerr
	}
	if err == nil {
		c.say("%s serves %s %s", report.Instance, report.Version, report.Manifest.Short())
	}
	return err
}

// nodePlace is where a node's files are.
type nodePlace struct {
	config string // empty means the usual file
	prefix string // before every path
}

// flags adds the flags of a place. --config is the node's own configuration
// here.
func (p *nodePlace) flags(cmd *cobra.Command, root string) {
	cmd.Flags().StringVar(&p.config, "config", "", "the node's configuration `FILE` (default "+nodeConfig+")")
	cmd.Flags().StringVar(&p.prefix, "prefix", root, "`DIR` before every path of the node (default $INSTANCE_ROOT)")
}

func (p nodePlace) file() string {
	if p.config != "" {
		return p.config
	}
	return filepath.Join("/", p.prefix, nodeConfig)
}

func readNodeConfig(p nodePlace) (node.Config, error) {
	data, err := os.ReadFile(p.file())
	if errors.Is(err, fs.ErrNotExist) {
		return node.Config{}, &hintedError{
			err:  fmt.Errorf("no node configuration %q", p.file()),
			hint: "the image or the group's user data writes it",
		}
	}
	if err != nil {
		return node.Config{}, fmt.Errorf("reading node configuration: %w", err)
	}
	nc, err := node.ParseConfig(data)
	if err != nil {
		return node.Config{}, fmt.Errorf("%s: %w", p.file(), err)
	}
	return nc.Rebase(p.prefix), nil
}

func (c *cli) instanceRoot() string {
	root, _ := c.Env("INSTANCE_ROOT")
	return root
}

func (c *cli) nodeStatusCommand() *cobra.Command {
	var place nodePlace
	var deep bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What this node serves, from its disk alone",
		Example: `  wpbake node status --deep
  wpbake node status --prefix "$INSTANCE_ROOT"   # on an instance of the local cloud`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.nodeStatus(cmd.Context(), place, deep) },
	}
	place.flags(cmd, c.instanceRoot())
	cmd.Flags().BoolVar(&deep, "deep", false, "compare every byte of the running tree with its manifest")
	return cmd
}

func (c *cli) nodeStatus(ctx context.Context, place nodePlace, deep bool) error {
	nc, err := readNodeConfig(place)
	if err != nil {
		hint := hintOf(err)
		if hint == "" {
			hint = "docs/node.md lists the keys of a node's configuration"
		}
		return &usageError{err: err, hint: hint}
	}
	st, err := node.Status(ctx, node.StatusOptions{Root: nc.Root, Deep: deep})
	if err != nil {
		return err
	}
	serves := "nothing yet"
	if st.Current != "" {
		serves = strings.TrimSpace(string(st.Version) + " " + st.Current)
	}
	c.say("serves    %s, from %s", serves, st.Root)
	if st.Verified != nil && *st.Verified {
		c.say("verified  every byte")
	}
	for _, b := range st.Boots {
		c.say("passed    %s %s at %s, run %s", b.Version, b.Manifest.Short(), b.At.UTC().Format(time.DateTime), b.Run)
	}
	if err := c.object(st); err != nil {
		return err
	}
	if st.Problem != "" {
		return fmt.Errorf("%s cannot be vouched for: %s", st.Current, st.Problem)
	}
	return nil
}
