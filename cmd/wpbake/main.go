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
	"runtime/debug"
	"syscall"
	"time"

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
