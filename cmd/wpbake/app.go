package main

import (
	"context"
	"io"
	"time"

	"github.com/wpbake/wpbake/bake"
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
	afterStep func(bake.Step)
}

// cli is one run of the program.
type cli struct {
	App
	flags     globalFlags
	overrides map[string]string // settings given as flags, by key
}

type globalFlags struct {
	config string
	json   bool
	quiet  bool
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, app App) int {
	c := &cli{App: app, overrides: map[string]string{}}
	root := c.rootCommand()
	root.SetArgs(app.Args)
	root.SetIn(app.Stdin)
	root.SetOut(app.Stdout)
	root.SetErr(app.Stderr)
	return c.report(root.ExecuteContext(ctx))
}
