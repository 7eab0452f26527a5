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
