package bake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// Settings say what trees are checked against. The zero value checks a tree
// alone, by the PHP that is found here.
type Settings struct {
	PHP       string // a program, or NoPHP
	Node      string // directory of the nodes' configuration
	NodePHP   string // version
	Cron      string // who runs it
	Checksums string // directory
	Strict    bool
}

// NoPHP is the program that parses nothing.
const NoPHP = "off"

// Report is what a check found, and by which PHP files were parsed in which time.
type Report struct {
	rules.Report
	PHP     string        // its version; empty when none was asked
	Unasked string        // why no PHP was asked
	Parsing time.Duration // of Took
	Took    time.Duration // the whole check
}

// Blocks is a *Blocked when the report blocks the tree of that name.
func (r *Report) Blocks(spec string) error {
	if !r.Blocked() {
		return nil
	}
	return &Blocked{Tree: spec, Findings: r.Findings}
}

// CheckOptions say what is checked, and against what. Tree is required.
type CheckOptions struct {
	Tree     string // a directory, an archive or git:PATH@REV
	Against  string // the tree in service, likewise; may be empty
	Exclude  []string
	Settings Settings
	Waivers  []rules.Waiver
	Database *database.Facts // nil knows nothing of it
}

// Check looks at a tree as a build would, and at what only a person can tell. The
// error is about reading; faults of the tree are findings.
func Check(ctx context.Context, o CheckOptions) (report Report, err error) {
	if o.Against != "" {
		if err := CheckTree(o.Against); err != nil {
			return Report{}, err
		}
	}
	src, err := open(ctx, o.Tree)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	x := examination{exclude: o.Exclude, settings: o.Settings, waivers: o.Waivers, database: o.Database}
	if o.Against != "" {
		before, err := open(ctx, o.Against)
		if err != nil {
			return Report{}, err
		}
		defer before.close()
		x.before = os.DirFS(before.dir)
	}
	return examine(ctx, src, os.DirFS(src.dir), x)
}

// examination is what a tree is checked against.
type examination struct {
	exclude  []string
	settings Settings
	waivers  []rules.Waiver
	before   fs.FS
	database *database.Facts
	previous *rules.Previous // nil checks all of it
}

// examine checks a tree that was opened; files shows it.
func examine(ctx context.Context, src *origin, files fs.FS, x examination) (Report, error) {
	start := time.Now()
	o, err := x.options(src)
	if err != nil {
		return Report{}, err
	}
	var r Report
	program, why, err := findPHP(ctx, src.dir, x.settings, o.Node)
	if err != nil {
		return Report{}, err
	}
	r.Unasked = why
	timed := &timedParser{}
	if program != nil {
		timed.Parser, r.PHP = program, program.Version()
		o.Parser = timed
	}
	if r.Report, err = rules.Check(ctx, files, o); err != nil {
		return Report{}, fmt.Errorf("checking tree %q: %w", src.spec, err)
	}
	r.Parsing, r.Took = timed.took, time.Since(start)
	return r, nil
}

// options are what the tree is judged by, PHP apart.
func (x examination) options(src *origin) (rules.Options, error) {
	s := x.settings
	o := rules.Options{Waivers: x.waivers, Strict: s.Strict, Cron: s.Cron, Before: x.before, Database: x.database, Previous: x.previous}
	var err error
	if o.Exclude, err = tree.Excluded(x.exclude); err != nil {
		return o, &SettingError{err, "exclude is a list of such paths"}
	}
	if o.Dir, err = filepath.Abs(src.dir); err != nil {
		return o, err
	}
	if src.dir == src.spec {
		o.Above = os.DirFS(filepath.Dir(o.Dir))
	}
	if s.Node != "" {
		if o.Node, err = nodeconfig.Read(os.DirFS(s.Node), filepath.ToSlash(filepath.Clean(s.Node))); err != nil {
			return o, &SettingError{fmt.Errorf("reading the nodes' configuration: %w", err), "check.node names a directory as /etc of a node"}
		}
	}
	if s.NodePHP != "" {
		if o.Node == nil {
			o.Node = &nodeconfig.Config{}
		}
		o.Node.PHP = s.NodePHP
	}
	if s.Checksums != "" {
		o.Checksums = os.DirFS(s.Checksums)
		if _, err := fs.ReadDir(o.Checksums, "."); err != nil {
			return o, &SettingError{fmt.Errorf("reading checksums: %w", err), "check.checksums names a directory"}
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
