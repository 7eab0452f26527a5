package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// runtimeOptions say where to learn what a run of a tree wanted to write.
type runtimeOptions struct {
	wanted bool
	logs   []string // instead of this node's
	place  nodePlace
}

// ran is a tree that ran, and the logs of PHP that it ran under.
type ran struct {
	tree  string // as a person named it, or where it lies
	below func(string) (string, bool)
	logs  []string
}

func runCheckRuntime(ctx context.Context, out *cli.Output, cfg cli.Config, o checkOptions) error {
	r, err := whatRan(ctx, cfg, o.runtime)
	if err != nil {
		return err
	}
	start := out.Now()
	denied, read, err := readLogs(out, r)
	if err != nil {
		return err
	}
	report := rules.CheckRuntime(rules.Options{
		Waivers: runtimeWaivers(cfg.Waivers), Strict: cfg.Check.Strict, Runtime: &rules.Runtime{Denied: denied},
	})
	o.tree = r.tree
	e := examined{Report: bake.Report{Report: report, Took: out.Now().Sub(start)}, summary: fmt.Sprintf("%d to look at, %d waived: %s read; what is silenced with @ is not in them",
		len(report.Findings), len(report.Waived), read)}
	noteWritable(out, r.tree)
	if err := emitReport(out, o, e); err != nil {
		return err
	}
	return e.Blocks(r.tree)
}

// whatRan finds this node's release and logs, or takes what it is told.
func whatRan(ctx context.Context, cfg cli.Config, o runtimeOptions) (ran, error) {
	if len(o.logs) > 0 {
		if err := cfg.Need("tree"); err != nil {
			return ran{}, err
		}
		return ran{tree: cfg.Tree, below: anyRelease(cfg.Tree), logs: o.logs}, nil
	}
	nc, err := readNodeConfig(o.place)
	if err != nil {
		return ran{}, cli.Misuse(err, "run it on a node; elsewhere --log FILE names a log of one, and TREE its tree")
	}
	if len(nc.Logs) == 0 {
		return ran{}, cli.Misuse(fmt.Errorf("%s names no logs", o.place.file()), "logs: [/var/log/php-error.log], the error_log of PHP-FPM's pool")
	}
	st, err := node.Status(ctx, node.StatusOptions{Root: nc.Root})
	if err != nil {
		return ran{}, err
	}
	if st.Current == "" {
		return ran{}, cli.Hinted(errors.New("no release serves here"), "wpbake node status says what does")
	}
	tree := filepath.Join(nc.Root, "releases", st.Current, "wordpress")
	return ran{tree: tree, below: belowAny(tree, filepath.Join(nc.Root, "current", "wordpress")), logs: nc.Logs}, nil
}

// belowAny tells paths below directories, which may be named by links.
func belowAny(dirs ...string) func(string) (string, bool) {
	var roots []string
	for _, dir := range dirs {
		if abs, err := filepath.Abs(dir); err == nil {
			roots = append(roots, abs+"/")
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			if real, err = filepath.Abs(real); err == nil {
				roots = append(roots, real+"/")
			}
		}
	}
	slices.Sort(roots)
	roots = slices.Compact(roots)
	return func(p string) (string, bool) {
		for _, root := range roots {
			if rel, ok := strings.CutPrefix(p, root); ok {
				return rel, true
			}
		}
		return "", false
	}
}

var releasePath = regexp.MustCompile(`^/.*?/(?:releases/[0-9a-f]{12}|current)/wordpress/(.+)$`)

// anyRelease tells paths below the tree itself, and below releases on nodes.
func anyRelease(tree string) func(string) (string, bool) {
	here := belowAny(tree)
	return func(p string) (string, bool) {
		if rel, ok := here(p); ok {
			return rel, true
		}
		if m := releasePath.FindStringSubmatch(p); m != nil {
			return m[1], true
		}
		return "", false
	}
}

// readLogs reads those logs that are there, of which there must be one.
func readLogs(out *cli.Output, r ran) (all []php.Denied, read string, err error) {
	lines, logs := 0, 0
	for _, name := range r.logs {
		denied, n, err := readDenied(name, r.below)
		if err != nil {
			out.Note("%v", err)
			continue
		}
		all, lines, logs = append(all, denied...), lines+n, logs+1
	}
	if logs == 0 {
		return nil, "", cli.Hinted(errors.New("none of the logs can be read"), "php_admin_value[error_log] of PHP-FPM's pool says where PHP writes; read it as root")
	}
	return all, fmt.Sprintf("%s of %d lines", cli.Count(logs, "log"), lines), nil
}

func readDenied(name string, below func(string) (string, bool)) ([]php.Denied, int, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() { // reading a FIFO would hang
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("it is no file")}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading log: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading log: %w", err)
	}
	defer f.Close()
	denied, lines, err := php.ReadDenied(f, below)
	if err != nil {
		err = fmt.Errorf("reading log %q: %w", name, err)
	}
	return denied, lines, err
}

// noteWritable warns of a tree in which PHP may write: what worked is in no
// log.
func noteWritable(out *cli.Output, tree string) {
	info, err := os.Stat(tree)
	if err != nil || unix.Access(tree, unix.W_OK) != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && (st.Uid != 0 || info.Mode().Perm()&0o022 != 0) {
		out.Note("the tree %q can be written: what was written is in no log, wpbake node status --deep finds it on a node", tree)
	}
}

// runtimeWaivers are those that this check can use.
func runtimeWaivers(all []rules.Waiver) []rules.Waiver {
	return slices.DeleteFunc(slices.Clone(all), func(w rules.Waiver) bool { return w.ID != "W99" })
}
