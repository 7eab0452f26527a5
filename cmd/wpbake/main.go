// Command wpbake releases WordPress trees to Auto Scaling groups.
//
// This package composes: each command is a newXCommand, which says its flags,
// and a runX, which makes one call and prints; open.go opens stores and
// clients. It decides nothing about a release: packages bake and rollout do.
// How it speaks with people and programs is internal/cli's.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; with the handler gone the
	// second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, process(), nil))
}

// process is this one.
func process() cli.Process {
	return cli.Process{
		Args:   os.Args[1:],
		Env:    os.LookupEnv,
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Now:    time.Now,
	}
}

// run is the whole program; it returns the exit code. Only tests give an
// afterStep.
func run(ctx context.Context, p cli.Process, afterStep func(rollout.Step)) int {
	e := newEnv(p, afterStep)
	root := newRootCommand(e)
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	return e.out.End(cli.Interruption(ctx, root.ExecuteContext(ctx)), p.Args)
}

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
		newGCCommand(e), newSweepCommand(e), newRecordImageCommand(e),
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

// gcLimits is what the garbage collector works for. The runtime counts only
// what is its own, not the program's pages.
type gcLimits struct {
	memory  int64 // bytes; more is taken only where more is in use
	garbage int   // percent of what is in use
}

// fetchLimits suit nodes: they are small, and what they serve needs the rest. A
// fetch makes little garbage, so that this costs hardly any time.
func fetchLimits() gcLimits { return gcLimits{memory: 56 << 20, garbage: 35} }

// buildLimits are for builds: only trees of more than 100,000 files come near.
func buildLimits() gcLimits { return gcLimits{memory: 208 << 20, garbage: 100} }

// apply holds the process to them until restore is called.
func (l gcLimits) apply() (restore func()) {
	memory := debug.SetMemoryLimit(l.memory)
	percent := debug.SetGCPercent(l.garbage)
	return func() {
		debug.SetMemoryLimit(memory)
		debug.SetGCPercent(percent)
	}
}
