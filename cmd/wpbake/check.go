package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress/database"
)

type checkOptions struct {
	tree     string // as a person named it
	format   string
	against  string // the tree in service
	database string // file of facts
	runtime  runtimeOptions
}

func (o checkOptions) validate() error {
	switch {
	case !slices.Contains(formats(), o.format):
		return fmt.Errorf("--format %q: want text, json, sarif or github", o.format)
	case len(o.runtime.logs) > 0 && !o.runtime.wanted:
		return errors.New("--log names a log of PHP for --runtime")
	}
	return nil
}

const checkLong = `Looks at a tree as WordPress, at its configuration (which is read, never run)
and, where they are named, at the nodes' configuration, the tree in service and
facts of the database. Every finding has an id, a place, a reason and a way to
mend it; docs/checks.md lists all of them.

What blocks stops build, publish and release as well. What is repaired is
repaired in the artifact, never in the tree. A waiver in wpbake.yaml lets one
finding pass:

  waivers:
    - id: T07
      path: wp-content/plugins/shop/demo.zip
      reason: the plugin's own sample data

With --runtime, on a node, it tells what PHP wanted to write into the release
that serves there and could not, from PHP's log: rule W99 and no other.

Exit code 1 when anything blocks.`

const checkExample = `  wpbake check ./site
  wpbake check ./site --check-node ./image/etc --check-cron "the scheduler"
  wpbake check ./site --against git:.@v41 --format github
  wpbake check wordpress-6.8.3.zip --format sarif > check.sarif
  wpbake check --runtime                           # on a node
  wpbake check ./site --runtime --log php-error.log   # a log of a node`

func newCheckCommand(e *env) *cobra.Command {
	o := checkOptions{format: formatText}
	cmd := &cobra.Command{
		Use:     "check [TREE]",
		Short:   "Look whether a tree can live on immutable nodes",
		Long:    checkLong,
		Example: checkExample,
		GroupID: groupArtifact,
		Args:    exactArgs,
		PreRun: func(_ *cobra.Command, args []string) {
			if len(args) > 0 {
				e.settings.Set("tree", "tree", args[0])
			}
		},
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if err := o.validate(); err != nil {
				return in.usage(err)
			}
			if o.runtime.wanted {
				return runCheckRuntime(ctx, e.out, in.cfg, o)
			}
			if err := in.cfg.Need("tree"); err != nil {
				return err
			}
			o.tree = in.cfg.Tree
			return runCheck(ctx, e.out, in.cfg, o)
		}),
	}
	e.settings.AddFlags(cmd, checkKeys()...)
	f := cmd.Flags()
	f.StringVar(&o.format, "format", o.format, "how to answer: `text|json|sarif|github`")
	f.StringVar(&o.against, "against", "", "the `TREE` in service: a directory, an archive or git:PATH@REV")
	f.StringVar(&o.database, "database", "", "facts of the live database, a JSON `FILE`; docs/checks.md says which")
	f.BoolVar(&o.runtime.wanted, "runtime", false, "what PHP wanted to write into this node's release and could not")
	f.StringArrayVar(&o.runtime.logs, "log", nil, "with --runtime, the log `FILE` of PHP to read; may be repeated (default those of node.yaml)")
	f.StringVar(&o.runtime.place.prefix, "prefix", instanceRoot(e.Process), "with --runtime, `DIR` before every path of the node (default $INSTANCE_ROOT)")
	return cmd
}

func runCheck(ctx context.Context, out *cli.Output, cfg cli.Config, o checkOptions) error {
	facts, err := readFacts(o.database)
	if err != nil {
		return err
	}
	report, err := bake.Check(ctx, bake.CheckOptions{
		Tree: o.tree, Against: o.against, Exclude: cfg.Exclude,
		Settings: bake.Settings(cfg.Check), Waivers: cfg.Waivers, Database: facts,
	})
	if err != nil {
		return err
	}
	if err := emitReport(out, o, examined{Report: report}); err != nil {
		return err
	}
	return report.Blocks(o.tree)
}

// readFacts reads what is known of the live database.
func readFacts(name string) (*database.Facts, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.Misuse(fmt.Errorf("reading facts of the database: %w", err), "--database FILE names a JSON file")
	}
	defer f.Close()
	var d database.Facts
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, cli.Misuse(fmt.Errorf("reading facts of the database %q: %w", name, err), "docs/checks.md says what is in it")
	}
	return &d, nil
}

// examined is a report, and how it is summed up.
type examined struct {
	bake.Report
	summary string // instead of one of files and PHP
}
