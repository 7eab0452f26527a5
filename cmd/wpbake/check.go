package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact/source"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

type checkOptions struct {
	tree     checkedTree
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
			o.tree = checkedTree{spec: in.cfg.Tree, exclude: in.cfg.Exclude, check: in.cfg.Check, waivers: in.cfg.Waivers}
			return runCheck(ctx, e.out, o)
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

func runCheck(ctx context.Context, out *cli.Output, o checkOptions) (err error) {
	for _, tree := range []string{o.tree.spec, o.against} {
		if tree != "" {
			if err := checkTree(tree); err != nil {
				return err
			}
		}
	}
	dir, cleanup, err := source.Open(ctx, o.tree.spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanup()) }()
	if o.against != "" {
		before, cleanup, err := source.Open(ctx, o.against)
		if err != nil {
			return err
		}
		defer cleanup()
		o.tree.before = os.DirFS(before)
	}
	if o.tree.database, err = readFacts(o.database); err != nil {
		return err
	}
	watch := cli.NewStopwatch(out.Now)
	report, err := examine(ctx, dir, os.DirFS(dir), o.tree)
	if err != nil {
		return err
	}
	watch.Lap("check")
	if err := emitReport(out, o, report, watch.Timings); err != nil {
		return err
	}
	return blockedBy(o.tree.spec, report.Report)
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

// examined is a report, and by which PHP files were parsed in which time.
type examined struct {
	rules.Report
	php     string
	parsing time.Duration
	unread  string // why no PHP was asked
	summary string // instead of one of files and PHP
}

// checkedTree is a tree and what it is checked against.
type checkedTree struct {
	spec     string // as a person named it
	exclude  []string
	check    cli.CheckConfig
	waivers  []rules.Waiver
	before   fs.FS
	database *database.Facts
	earlier  *rules.Previous // nil checks all of it
}

// examine checks a tree that lies in dir.
func examine(ctx context.Context, dir string, tree fs.FS, t checkedTree) (examined, error) {
	o, err := checkOn(t, dir)
	if err != nil {
		return examined{}, err
	}
	var e examined
	program, why, err := findPHP(ctx, dir, t.check, o.Node)
	if err != nil {
		return examined{}, err
	}
	e.unread = why
	timed := &timedParser{}
	if program != nil {
		timed.Parser, e.php = program, program.Version()
		o.Parser = timed
	}
	if e.Report, err = rules.Check(ctx, tree, o); err != nil {
		return examined{}, fmt.Errorf("checking tree %q: %w", t.spec, err)
	}
	e.parsing = timed.took
	return e, nil
}

// checkOn are the grounds that the tree is judged on, PHP apart.
func checkOn(t checkedTree, dir string) (rules.Options, error) {
	o := rules.Options{
		Waivers: t.waivers, Strict: t.check.Strict, Cron: t.check.Cron, Before: t.before, Database: t.database,
		Previous: t.earlier,
	}
	var err error
	if o.Exclude, err = excluded(t.exclude); err != nil {
		return o, err
	}
	if o.Dir, err = filepath.Abs(dir); err != nil {
		return o, err
	}
	if dir == t.spec {
		o.Above = os.DirFS(filepath.Dir(o.Dir))
	}
	if t.check.Node != "" {
		if o.Node, err = nodeconfig.Read(os.DirFS(t.check.Node), filepath.ToSlash(filepath.Clean(t.check.Node))); err != nil {
			return o, cli.Misuse(fmt.Errorf("reading the nodes' configuration: %w", err), "check.node names a directory as /etc of a node")
		}
	}
	if t.check.NodePHP != "" {
		if o.Node == nil {
			o.Node = &nodeconfig.Config{}
		}
		o.Node.PHP = t.check.NodePHP
	}
	if t.check.Checksums != "" {
		o.Checksums = os.DirFS(t.check.Checksums)
		if _, err := fs.ReadDir(o.Checksums, "."); err != nil {
			return o, cli.Misuse(fmt.Errorf("reading checksums: %w", err), "check.checksums names a directory")
		}
	}
	return o, nil
}

// timedParser takes the time that parsing costs.
type timedParser struct {
	rules.Parser
	took time.Duration
}

func (p *timedParser) Parse(ctx context.Context, files []string) ([]php.SyntaxError, error) {
	start := time.Now()
	bad, err := p.Parser.Parse(ctx, files)
	p.took = time.Since(start)
	return bad, err
}
