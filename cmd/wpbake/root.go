package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
)

// Groups of commands in help.
const (
	groupRelease  = "release"
	groupLook     = "look"
	groupArtifact = "artifact"
	groupNode     = "node"
)

func newRootCommand(e *env) *cobra.Command {
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
		Args:          subcommand,
		RunE:          showHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := root.PersistentFlags()
	f.StringVar(&e.settings.File, "config", "", "configuration `FILE` (default wpbake.yaml)")
	f.BoolVar(&e.out.JSON, "json", false, "answer in JSON: one object, or one a line for long commands")
	f.BoolVar(&e.out.Quiet, "quiet", false, "no progress, only results and errors")
	root.SetFlagErrorFunc(cli.Usage)
	root.AddGroup(
		&cobra.Group{ID: groupRelease, Title: "Release:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupArtifact, Title: "Artifacts:"},
		&cobra.Group{ID: groupNode, Title: "Nodes and this machine:"},
	)
	root.AddCommand(newCommands(e)...)
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: cli.ExitCodesHelp})
	root.SetHelpCommandGroupID(groupNode)
	root.SetCompletionCommandGroupID(groupNode)
	return root
}

func newCommands(e *env) []*cobra.Command {
	return []*cobra.Command{
		newReleaseCommand(e), newRollbackCommand(e), newWatchCommand(e), newResumeCommand(e), newAdoptCommand(e),
		newStatusCommand(e), newHistoryCommand(e), newShowCommand(e), newDiffCommand(e), newVerifyCommand(e), newDoctorCommand(e),
		newCheckCommand(e), newBuildCommand(e), newPublishCommand(e), newBakeCommand(e), newFetchCommand(e),
		newGcCommand(e), newSweepCommand(e), newRecordImageCommand(e),
		newNodeCommand(e), newLocalCommand(e), newVersionCommand(e),
	}
}

func newVersionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print wpbake's version",
		GroupID: groupNode,
		Args:    exactArgs,
		Example: "  wpbake version --json",
		RunE:    func(*cobra.Command, []string) error { return runVersion(e.out) },
	}
}

func runVersion(out *cli.Output) error {
	v := struct {
		Version  string `json:"version"`
		Revision string `json:"revision,omitempty"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{"(unknown)", "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	out.Say("wpbake %s %s %s", v.Version, v.Go, v.Platform)
	return out.Object(v)
}
