package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
)

// A group of more changes than this is only counted, unless all are asked for.
const listedChanges = 20

func newDiffCommand(e *env) *cobra.Command {
	var o diffOptions
	var live bool
	var manifests digestValues
	cmd := &cobra.Command{
		Use:   "diff VERSION VERSION",
		Short: "What changed from one published version to another",
		Long: `Compares two published versions by their manifests, indexes and file lists:
WordPress, plugins and themes by version or by files that changed, then every
file, by directory. No file is downloaded, unless --checksums needs them. A
directory with more than 20 changes is only counted.`,
		Example: `  eval "$(wpbake local env)"
  wpbake diff v1 v2 --store s3://releases/shop
  wpbake diff v1 v2 --live --group shop
  wpbake diff v1 v2 --store s3://releases/shop --manifest sha256:… --manifest sha256:…`,
		GroupID:           groupLook,
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			if n := len(manifests); n != 0 && n != 2 {
				return in.usage(errors.New("--manifest: want it twice, for the first and for the second VERSION"))
			}
			store, err := readReleases(ctx, in.cfg)
			if err != nil {
				return err
			}
			o.before, o.after = pinned{version: in.versions[0]}, pinned{version: in.versions[1]}
			if len(manifests) > 0 {
				o.before.manifest, o.after.manifest = manifests[0], manifests[1]
			}
			if live {
				group, err := e.open.group(ctx, in.cfg, rollout.Options{})
				if err != nil {
					return err
				}
				o.database = group.Database
			}
			return runDiff(ctx, e.out, store, o)
		}),
	}
	e.settings.AddFlags(cmd, append([]string{"database.command"}, groupKeys()...)...)
	addManifestFlag(cmd, &manifests, "given twice: refuse the versions unless their manifests have these `DIGEST`s, in order")
	cmd.Flags().BoolVar(&o.all, "all", false, "list every changed file")
	cmd.Flags().BoolVar(&live, "live", false, "ask the group's database which plugins and themes are active")
	cmd.Flags().StringVar(&o.checksums, "checksums", "", "compare WordPress itself in the second version with this `FILE`, JSON as api.wordpress.org/core/checksums/1.0/ gives it")
	return cmd
}

type diffOptions struct {
	before, after pinned
	all           bool
	checksums     string                                         // file
	database      func(context.Context) (*database.State, error) // asks the group's; nil asks nothing
}

// difference is what diff answers to programs.
type difference struct {
	Before    side                `json:"before"`
	After     side                `json:"after"`
	WordPress []wordpress.Change  `json:"wordpress"`
	Changes   []artifact.Change   `json:"changes"`
	Carried   *carriedView        `json:"carried,omitempty"`  // assets of the release before that the newer one has
	Upstream  *wordpress.Upstream `json:"upstream,omitempty"` // the newer one against its checksums

	newer artifact.Manifest
}

type side struct {
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`
}

func runDiff(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, o diffOptions) error {
	d, err := compareVersions(ctx, store, o)
	if err != nil {
		return err
	}
	d.Carried = lookCarried(ctx, out, store, d.newer)
	sayWordPress(out, o.before.version, d.WordPress)
	sayCarried(out, d.Carried)
	sayChanges(out, d.Changes, o.all)
	sayUpstream(out, d.Upstream)
	if len(d.WordPress)+len(d.Changes) == 0 {
		out.Say("%s and %s hold the same tree", o.before.version, o.after.version)
	}
	return out.Object(d)
}

// compareVersions finds both and what changed.
func compareVersions(ctx context.Context, store artifact.ReleaseStore, o diffOptions) (d difference, err error) {
	older, digest, err := o.before.find(ctx, store)
	if err != nil {
		return d, err
	}
	d.Before = side{o.before.version, digest}
	if d.newer, digest, err = o.after.find(ctx, store); err != nil {
		return d, err
	}
	d.After = side{o.after.version, digest}
	changes, err := fetch.Diff(ctx, store, older, d.newer)
	if err != nil {
		return d, err
	}
	d.Changes = append([]artifact.Change{}, changes...) // an empty list in JSON, never null
	var db *database.State
	if o.database != nil {
		if db, err = o.database(ctx); err != nil {
			return d, err
		}
	}
	d.WordPress = wordpress.Changes(older.WordPress, d.newer.WordPress, changes, db.Uses)
	d.Upstream, err = upstream(ctx, store, d.newer, o.checksums)
	return d, err
}

// sayChanges lists changes by directory, the lines of a directory after its
// count.
func sayChanges(out *cli.Output, changes []artifact.Change, all bool) {
	groups := make(map[string][]artifact.Change)
	var order []string
	for i, x := range changes {
		if implied(changes[i:]) {
			continue
		}
		g := groupOf(x.Path)
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], x)
	}
	for _, g := range order {
		list := groups[g]
		out.Say("%s: %s", g, counted(list))
		if len(list) > listedChanges && !all {
			out.Say("  --all lists them")
			continue
		}
		for _, x := range list {
			out.Say("  %s", changeLine(x))
		}
	}
}

// implied tells whether the first change is a directory that the one after it
// lies in: naming that is enough for a person.
func implied(changes []artifact.Change) bool {
	for _, e := range []*artifact.Entry{changes[0].Before, changes[0].After} {
		if e != nil && e.Kind != "directory" {
			return false
		}
	}
	return len(changes) > 1 && strings.HasPrefix(changes[1].Path, changes[0].Path+"/")
}

// groupOf names the plugin's or theme's directory that a path lies in, or the
// first directory of its path.
func groupOf(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts[:max(len(parts)-2, 0)] {
		if part == "plugins" || part == "themes" || part == "mu-plugins" {
			return path.Join(parts[:i+2]...)
		}
	}
	if len(parts) == 1 {
		return "top"
	}
	return parts[0]
}

// counted says how many were added, changed and removed, with the bytes.
func counted(list []artifact.Change) string {
	var n [3]int
	var before, after int64
	for _, x := range list {
		switch {
		case x.Before == nil:
			n[0]++
		case x.After == nil:
			n[2]++
		default:
			n[1]++
		}
		if x.Before != nil {
			before += x.Before.Size
		}
		if x.After != nil {
			after += x.After.Size
		}
	}
	var words []string
	for i, word := range []string{"added", "changed", "removed"} {
		if n[i] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[i], word))
		}
	}
	return fmt.Sprintf("%s, %s → %s", strings.Join(words, ", "), cli.Size(before), cli.Size(after))
}

func changeLine(x artifact.Change) string {
	switch {
	case x.Before == nil:
		return fmt.Sprintf("+ %s %s", x.Path, described(x.After))
	case x.After == nil:
		return fmt.Sprintf("- %s %s", x.Path, described(x.Before))
	default:
		return fmt.Sprintf("~ %s %s → %s", x.Path, described(x.Before), described(x.After))
	}
}

func described(e *artifact.Entry) string {
	switch {
	case e.Target != "":
		return fmt.Sprintf("link to %q", e.Target)
	case e.Digest != "":
		return cli.Size(e.Size)
	default:
		return e.Kind
	}
}

// upstream compares WordPress in a version with a file of checksums. The
// version is fetched for that: its own lists are SHA-256.
func upstream(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, file string) (u *wordpress.Upstream, err error) {
	if file == "" {
		return nil, nil
	}
	if m.WordPress == nil {
		return nil, fmt.Errorf("version %q is not known as WordPress", m.Version)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sums, err := wordpress.ParseChecksums(f, m.WordPress.Core)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wpbake-")
	if err != nil {
		return nil, fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dest := filepath.Join(dir, "release")
	if _, err := fetch.Release(ctx, store, fetch.Options{Version: m.Version, Digest: m.Digest(), Dest: dest}); err != nil {
		return nil, err
	}
	got, err := wordpress.CompareUpstream(os.DirFS(filepath.Join(dest, m.Tree.Prefix)), sums)
	return &got, err
}

// sayWordPress tells what changed in WordPress's terms.
func sayWordPress(out *cli.Output, before artifact.Version, changes []wordpress.Change) {
	for _, x := range changes {
		if line := wordPressLine(x); x.Kind == "assets" {
			out.Say("%s; --carry-assets %s keeps those of plugins and themes that stay", line, before)
		} else {
			out.Say("%s", line)
		}
	}
}

// sayCarried tells what is there only for pages of the release before.
func sayCarried(out *cli.Output, v *carriedView) {
	if v != nil {
		out.Say("%s", v)
	}
}

func wordPressLine(x wordpress.Change) string {
	name := x.Kind
	if x.Slug != "" {
		name += " " + x.Slug
	}
	line := ""
	switch {
	case x.Kind == "assets":
		return fmt.Sprintf("assets removed: %s; while both versions serve, pages of one ask nodes of the other for them", cli.Count(x.Files, "file"))
	case x.Change != "changed":
		line = strings.Join(strings.Fields(name+" "+x.Before+x.After+" "+x.Change), " ")
	case x.Before != x.After:
		line = fmt.Sprintf("%s %s → %s", name, cli.OrDash(x.Before), cli.OrDash(x.After))
	default:
		line = fmt.Sprintf("%s changed: %s", name, cli.Count(x.Files, "file"))
	}
	if x.Active {
		line += " (active in the database)"
	}
	return line
}

func sayUpstream(out *cli.Output, u *wordpress.Upstream) {
	if u == nil {
		return
	}
	if len(u.Differ)+len(u.Missing)+len(u.Extra) == 0 {
		out.Say("upstream: WordPress is as its checksums say")
		return
	}
	for _, x := range []struct {
		word  string
		names []string
	}{{"differs from", u.Differ}, {"missing, is in", u.Missing}, {"not in", u.Extra}} {
		for _, name := range x.names {
			out.Say("%s: %s upstream", name, x.word)
		}
	}
}
