// Command wpbake releases WordPress trees to Auto Scaling groups.
//
// This package knows flags, configuration, wiring, the terminal's words and
// exit codes. It decides nothing about a release: package rollout does. One file
// holds one command: flags, an options struct and a run function, apart.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; with the handler gone the
	// second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, App{
		Args:   os.Args[1:],
		Env:    os.LookupEnv,
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Now:    time.Now,
	}))
}
