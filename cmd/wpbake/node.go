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
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/rollout/userdata"
)

// nodeConfig is the node's own configuration, below its prefix.
const nodeConfig = "/etc/wpbake/node.yaml"

func newNodeCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "What an instance runs: boot a release, tell what it serves, ask its database",
		GroupID: groupNode,
		Args:    subcommand,
		RunE:    showHelp,
	}
	cmd.AddCommand(newNodeBootCommand(e), newNodeResumeCommand(e), newNodeReadyCommand(e), newNodeStatusCommand(e), newNodeDatabaseCommand(e), newNodeSchemaCommand(e))
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

func newNodeBootCommand(e *env) *cobra.Command {
	var o nodeBootOptions
	var pins bootPins
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Fetch, verify and serve the release that user data pins",
		Long: `Runs at the end of an instance's user data. It serves exactly the release whose
manifest digest is given, or tells the lifecycle hook to abandon the instance.`,
		Example: `  # what wpbake release writes into user data on the local cloud:
  wpbake node boot --store s3://releases/shop --version v1 --manifest sha256:… \
    --group shop --run 20261123T201500Z-1a2b3c --hook wpbake-boot`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := pins.parse(&o); err != nil {
				return cli.Usage(cmd, err)
			}
			cfg, err := e.settings.LoadWithoutFile()
			if err != nil {
				return err
			}
			return runNodeBoot(cmd.Context(), e.out, cfg, o)
		},
	}
	e.settings.AddFlags(cmd, groupKeys()...)
	f := cmd.Flags()
	f.StringVar(&pins.version, "version", "", "the `VERSION`")
	f.StringVar(&pins.manifest, "manifest", "", "its manifest's `DIGEST`: nothing else is served")
	f.StringVar(&o.run, "run", "", "the `RUN` that wrote the user data")
	f.StringVar(&o.hook, "hook", "", "the lifecycle `HOOK` to tell the result")
	f.StringVar(&o.volume.Snapshot, "volume", "", "the `SNAPSHOT` of the release volume that the template attaches")
	f.StringVar(&pins.image, "image", "", "with --volume, the `DIGEST` of the file system on it")
	o.place.flags(cmd, instanceRoot(e.Process))
	return cmd
}

// bootPins are the flags that pin what a node serves.
type bootPins struct{ version, manifest, image string }

func (p bootPins) parse(o *nodeBootOptions) (err error) {
	if p.version == "" || p.manifest == "" {
		return errors.New("missing --version or --manifest: the two pin what is served")
	}
	if o.version, err = artifact.ParseVersion(p.version); err != nil {
		return err
	}
	if o.manifest, err = artifact.ParseDigest(p.manifest); err != nil {
		return err
	}
	if o.volume.Snapshot != "" {
		o.volume.Image, err = artifact.ParseDigest(p.image)
	}
	return err
}

func runNodeBoot(ctx context.Context, out *cli.Output, cfg cli.Config, o nodeBootOptions) error {
	if err := cfg.Need("store", "group"); err != nil {
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
	if out.Progress() {
		opts.Log = cli.Lines(out.Stderr)
	}
	var report node.Report
	if opts.Config, err = readNodeConfig(o.place); err != nil {
		// The hook must hear of it, or the node hangs until its timeout.
		report, err = node.Refuse(ctx, opts, err)
	} else {
		restore := fetchLimits().apply()
		report, err = node.Boot(ctx, opts)
		restore()
	}
	if oerr := out.Object(report); oerr != nil && err == nil {
		err = oerr
	}
	if err == nil {
		out.Say("%s serves %s %s", report.Instance, report.Version, report.Manifest.Short())
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
		return node.Config{}, cli.Hinted(
			fmt.Errorf("no node configuration %q", p.file()),
			"the image or the group's user data writes it")
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

// needNodeConfig reads it for a person, who may have named the wrong one.
func needNodeConfig(p nodePlace) (node.Config, error) {
	nc, err := readNodeConfig(p)
	if err != nil {
		hint := cli.HintOf(err)
		if hint == "" {
			hint = "docs/node.md lists the keys of a node's configuration"
		}
		err = cli.Misuse(err, hint)
	}
	return nc, err
}

func instanceRoot(p cli.Process) string {
	root, _ := p.Env("INSTANCE_ROOT")
	return root
}

func newNodeStatusCommand(e *env) *cobra.Command {
	var place nodePlace
	var deep bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What this node serves, from its disk alone",
		Example: `  wpbake node status --deep
  wpbake node status --prefix "$INSTANCE_ROOT"   # on an instance of the local cloud`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runNodeStatus(cmd.Context(), e.out, place, deep) },
	}
	place.flags(cmd, instanceRoot(e.Process))
	cmd.Flags().BoolVar(&deep, "deep", false, "compare every byte of the running tree with its manifest")
	return cmd
}

func runNodeStatus(ctx context.Context, out *cli.Output, place nodePlace, deep bool) error {
	nc, err := needNodeConfig(place)
	if err != nil {
		return err
	}
	st, err := node.Status(ctx, node.StatusOptions{Root: nc.Root, Deep: deep})
	if err != nil {
		return err
	}
	serves := "nothing yet"
	if st.Current != "" {
		serves = strings.TrimSpace(string(st.Version) + " " + st.Current)
	}
	var list cli.List
	list.Add("serves", "%s, from %s", serves, st.Root)
	if st.Verified != nil && *st.Verified {
		list.Add("verified", "every byte")
	}
	for _, b := range st.Boots {
		list.Add("passed", "%s %s at %s, run %s", b.Version, b.Manifest.Short(), b.At.UTC().Format(time.DateTime), b.Run)
	}
	out.List(list)
	if err := out.Object(st); err != nil {
		return err
	}
	if st.Problem != "" {
		return fmt.Errorf("%s cannot be vouched for: %s", st.Current, st.Problem)
	}
	return nil
}

func newNodeResumeCommand(e *env) *cobra.Command {
	var place nodePlace
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "After a reboot, bring back what this node served",
		Long: `Runs before the web server starts, at every boot: wpbake-boot.service of
packer/base.pkr.hcl does so. User data runs once in a node's life; what ends with
a reboot, a mount and the environment, is made again here, after every byte of
the release was compared. No store is asked. On a node that has served nothing
yet it does nothing, and user data goes on to boot the release.`,
		Example: `  wpbake node resume
  wpbake node resume --prefix "$INSTANCE_ROOT"   # on an instance of the local cloud`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runNodeResume(cmd.Context(), e.out, e.settings, place)
		},
	}
	e.settings.AddFlags(cmd, "region")
	place.flags(cmd, instanceRoot(e.Process))
	return cmd
}

func runNodeResume(ctx context.Context, out *cli.Output, settings *cli.Sources, place nodePlace) error {
	nc, err := readNodeConfig(place)
	if err != nil {
		return err
	}
	o := node.ResumeOptions{Config: nc}
	if out.Progress() {
		o.Log = cli.Lines(out.Stderr)
	}
	if nc.Environment.Path != "" {
		cfg, err := settings.LoadWithoutFile()
		if err != nil {
			return err
		}
		clients, err := loadAWS(ctx, cfg)
		if err != nil {
			return err
		}
		o.Parameters = clients.Parameters()
	}
	r, err := node.Resume(ctx, o)
	if err != nil {
		return err
	}
	out.Say("%s", r.Text())
	return out.Object(r)
}

func newNodeReadyCommand(e *env) *cobra.Command {
	var hook string
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Let an instance without a release into service",
		Long: `The last line of a group's own user data. On an instance whose template pins no
release yet it tells the lifecycle hook to continue, so that an adopted group
can launch nodes before its first release. Where a release is pinned it does
nothing: that boot speaks for itself.`,
		Example: `  # at the end of the group's own user data:
  wpbake node ready --group shop`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := e.settings.LoadWithoutFile()
			if err != nil {
				return err
			}
			return runNodeReady(cmd.Context(), e.out, cfg, hook)
		},
	}
	e.settings.AddFlags(cmd, "group", "region")
	cmd.Flags().StringVar(&hook, "hook", rollout.HookName, "the lifecycle `HOOK` to tell")
	return cmd
}

func runNodeReady(ctx context.Context, out *cli.Output, cfg cli.Config, hook string) error {
	if err := cfg.Need("group"); err != nil {
		return err
	}
	clients, err := loadAWS(ctx, cfg)
	if err != nil {
		return err
	}
	data, err := clients.UserData(ctx)
	if err != nil {
		return err
	}
	if boot, ok := userdata.ParseBoot(data); ok {
		out.Say("%s is pinned here: its boot speaks to the hook", boot.Version)
		return nil
	}
	told, err := node.Ready(ctx, clients.Metadata(), clients.Lifecycle(), node.Action{Group: cfg.Group, Hook: hook})
	if err == nil && !told {
		out.Say("no hook waits for this instance")
	}
	return err
}
