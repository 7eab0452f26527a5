package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/spelling"
)

// Groups of commands in help.
const (
	groupRelease  = "release"
	groupLook     = "look"
	groupArtifact = "artifact"
	groupNode     = "node"
)

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "wpbake",
		Short: "Release WordPress as one immutable, proven unit",
		Long: `wpbake makes one verified artifact of a WordPress tree, rolls it through an
Auto Scaling group and proves that every node serves it. A bad release is
rolled back, and that is proven too.

Values come from wpbake.yaml, the environment and flags; flags win over the
environment, the environment over the file. A key such as refresh.bake_time
is --refresh-bake-time and WPBAKE_REFRESH_BAKE_TIME.`,
		Example: `  wpbake local start                    # AWS's behaviour on this machine
  eval "$(wpbake local env)"
  wpbake release v1 --tree ./site --store s3://releases/shop --group shop
  wpbake status --store s3://releases/shop --group shop`,
		Args:          c.subcommand,
		RunE:          showHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := root.PersistentFlags()
	f.StringVar(&c.flags.config, "config", "", "configuration `FILE` (default wpbake.yaml)")
	f.BoolVar(&c.flags.json, "json", false, "answer in JSON: one object, or one a line for long commands")
	f.BoolVar(&c.flags.quiet, "quiet", false, "no progress, only results and errors")
	root.SetFlagErrorFunc(usage)
	root.AddGroup(
		&cobra.Group{ID: groupRelease, Title: "Release:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupArtifact, Title: "Artifacts:"},
		&cobra.Group{ID: groupNode, Title: "Nodes and this machine:"},
	)
	root.AddCommand(c.commands()...)
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: exitCodesHelp})
	root.SetHelpCommandGroupID(groupNode)
	root.SetCompletionCommandGroupID(groupNode)
	return root
}

func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.releaseCommand(), c.rollbackCommand(), c.watchCommand(), c.resumeCommand(), c.adoptCommand(),
		c.statusCommand(), c.historyCommand(), c.showCommand(), c.diffCommand(), c.verifyCommand(), c.doctorCommand(),
		c.checkCommand(), c.buildCommand(), c.publishCommand(), c.bakeCommand(), c.fetchCommand(),
		c.gcCommand(), c.sweepCommand(), c.recordImageCommand(),
		c.nodeCommand(), c.localCommand(), c.versionCommand(),
	}
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// subcommand refuses a word that names no command, and names the nearest.
func (c *cli) subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q of %q", args[0], cmd.CommandPath())
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if near := spelling.Nearest(args[0], names); near != "" {
		return &usageError{err: err, hint: cmd.CommandPath() + " " + near}
	}
	return usage(cmd, err)
}

// words asks for exactly the named arguments; those in brackets may be absent.
func words(names ...string) cobra.PositionalArgs {
	need := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			need++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < need:
			return usage(cmd, fmt.Errorf("missing %s", names[len(args)]))
		case len(args) > len(names):
			return usage(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}

// parseVersion reads a version from the command line.
func parseVersion(cmd *cobra.Command, s string) (artifact.Version, error) {
	v, err := artifact.ParseVersion(s)
	if err != nil {
		return "", usage(cmd, err)
	}
	return v, nil
}
