package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/wpbake/wpbake/rollout"
)

// App is everything the program takes from its process. All fields are needed.
type App struct {
	Args   []string // without the program's name
	Env    func(name string) (value string, set bool)
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time

	// afterStep is told of each recorded step. Only tests set it: they kill
	// the process there.
	afterStep func(rollout.Step)
}

// cli is one run of the program.
type cli struct {
	App
	flags     globalFlags
	overrides map[string]string // settings given as flags, by key
	flagNames map[string]string // the flags that gave them
}

type globalFlags struct {
	config string
	json   bool
	quiet  bool
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, app App) int {
	c := &cli{App: app, overrides: map[string]string{}, flagNames: map[string]string{}}
	root := c.rootCommand()
	root.SetArgs(app.Args)
	root.SetIn(app.Stdin)
	root.SetOut(app.Stdout)
	root.SetErr(app.Stderr)
	return c.report(interruption(ctx, root.ExecuteContext(ctx)))
}

var errInterrupted = errors.New("interrupted")

// interruption replaces the words of whatever call a signal happened to meet.
// Where a release was under way its own error says what goes on.
func interruption(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && exitCode(err) == exitUntouched {
		return errInterrupted
	}
	return err
}
