// Command demo is wpbake's main job, visibly: a real WordPress rolls through a
// group of the local cloud under load, and a bad release comes back by itself.
//
// It knows how the shop of the story is brought up, left running and removed.
// The story is package e2e's; a step that ends otherwise than it should ends
// the command with 1. It drives the wpbake binary as a user would.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/ci/e2e"
)

// options are the command's flags.
type options struct {
	wpbake string
	tree   string
	dir    string
	keep   bool
	stop   bool
}

func main() {
	var o options
	flag.StringVar(&o.wpbake, "wpbake", "", "the wpbake `program`")
	flag.StringVar(&o.tree, "tree", "", "the WordPress `tree`")
	flag.StringVar(&o.dir, "dir", "", "where everything lies while it runs")
	flag.BoolVar(&o.keep, "keep", false, "leave it running at the end")
	flag.BoolVar(&o.stop, "stop", false, "stop and remove what -keep has left")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	for _, path := range []*string{&o.wpbake, &o.tree, &o.dir} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if err := tidy(o.dir); err != nil || o.stop {
		return err
	}
	begun := time.Now()
	err := perform(ctx, o)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted"), tidy(o.dir))
	}
	if err == nil {
		fmt.Printf("\nall as it should be, after %.0f seconds\n", time.Since(begun).Seconds())
	}
	return err
}

// perform brings the shop up, tells the story and ends what was brought up,
// unless it shall stay or somebody should look at it.
func perform(ctx context.Context, o options) error {
	fmt.Println("bringing up a shop: MariaDB, memcached, WordPress and the local cloud")
	stack, err := e2e.Start(ctx, e2e.Options{Dir: o.dir, Wpbake: o.wpbake, Tree: o.tree, Speed: 10, Nodes: 3, Log: os.Stdout})
	if err != nil {
		return err
	}
	story := e2e.NewDemo(stack, os.Stdout)
	err = story.Tell(ctx)
	story.Table()
	if o.keep && ctx.Err() == nil {
		left(stack)
		return err
	}
	return errors.Join(err, end(stack, err == nil || ctx.Err() != nil))
}

// tidy stops and removes what an earlier demo has left in dir.
func tidy(dir string) error {
	stack, err := e2e.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return e2e.Remove(dir)
	}
	if err != nil {
		return err
	}
	fmt.Println("stopping and removing what the demo left")
	return end(stack, true)
}

// end stops everything, and removes it unless somebody should look at it.
func end(stack *e2e.Stack, remove bool) error {
	err := stack.Stop()
	if err != nil || !remove {
		fmt.Fprintf(os.Stderr, "everything is stopped; logs are in %s\n", stack.Dir)
		return err
	}
	return e2e.Remove(stack.Dir)
}

// left says how to go on with what keeps running.
func left(stack *e2e.Stack) {
	fmt.Printf(`
it keeps running:
  the shop        %s
  look around     cd %s
                  eval "$(%s local env --dir cloud)"
                  %[3]s status
  stop it         make demo-stop
`, stack.Site, stack.Dir, stack.Program)
}
