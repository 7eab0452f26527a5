package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

// A group of more changes than this is only counted, unless all are asked for.
const listedChanges = 20

func (c *cli) diffCommand() *cobra.Command {
	o := diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff VERSION VERSION",
		Short: "What changed from one published version to another",
		Long: `Compares two published versions by their manifests, indexes and file lists:
WordPress, plugins and themes by version or by files that changed, then every
file, by directory. No file is downloaded, unless --checksums needs them. A
directory with more than 20 changes is only counted.`,
		Example: `  eval "$(wpbake local env)"
  wpbake diff v1 v2 --store s3://releases/shop
  wpbake diff v1 v2 --live --group shop`,
		GroupID:           groupLook,
		Args:              words("VERSION", "VERSION"),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			before, err := parseVersion(cmd, args[0])
			if err != nil {
				return err
			}
			after, err := parseVersion(cmd, args[1])
			if err != nil {
				return err
			}
			return c.diff(cmd.Context(), cfg, [2]artifact.Version{before, after}, o)
		},
	}
	c.settingFlags(cmd, append([]string{"database.command"}, groupKeys...)...)
	cmd.Flags().BoolVar(&o.all, "all", false, "list every changed file")
	cmd.Flags().BoolVar(&o.live, "live", false, "ask the group's database which plugins and themes are active")
	cmd.Flags().StringVar(&o.checksums, "checksums", "", "compare WordPress itself in the second version with this `FILE`, JSON as api.wordpress.org/core/checksums/1.0/ gives it")
	return cmd
}

type diffOptions struct {
	all       bool
	live      bool   // ask the database
	checksums string // file
}

// difference is what diff answers to programs.
type difference struct {
	Before    side                `json:"before"`
	After     side                `json:"after"`
	WordPress []wordpress.Change  `json:"wordpress"`
	Changes   []artifact.Change   `json:"changes"`
	Carried   *carriedView        `json:"carried,omitempty"`  // assets of the release before that the newer one has
	Upstream  *wordpress.Upstream `json:"upstream,omitempty"` // the newer one against its checksums
}

type side struct {
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`
}

func (c *cli) diff(ctx context.Context, cfg Config, versions [2]artifact.Version, o diffOptions) error {
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return err
	}
	var m [2]artifact.Manifest
	var sides [2]side
	for i, v := range versions {
		found, digest, err := artifact.Find(ctx, store, v)
		if err != nil {
			return err
		}
		m[i], sides[i] = found, side{v, digest}
	}
	changes, err := artifact.Diff(ctx, store, m[0], m[1])
	if err != nil {
		return err
	}
	db, err := c.liveDatabase(ctx, cfg, o)
	if err != nil {
		return err
	}
	d := difference{Before: sides[0], After: sides[1], WordPress: wordpress.Changes(m[0].WordPress, m[1].WordPress, changes, db), Changes: changes}
	if d.Upstream, err = upstream(ctx, store, m[1], o.checksums); err != nil {
		return err
	}
	d.Carried = c.lookCarried(ctx, store, m[1])
	c.sayWordPress(versions[0], d.WordPress)
	c.sayCarried(d.Carried)
	c.sayChanges(changes, o.all)
	c.sayUpstream(d.Upstream)
	if len(d.WordPress)+len(changes) == 0 {
		c.say("%s and %s hold the same tree", versions[0], versions[1])
	}
	if d.Changes == nil {
		d.Changes = []artifact.Change{}
	}
	return c.object(d)
}

// sayChanges lists changes by directory, the lines of a directory after its
// count.
func (c *cli) sayChanges(changes []artifact.Change, all bool) {
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
		c.say("%s: %s", g, counted(list))
		if len(list) > listedChanges && !all {
			c.say("  --all lists them")
			continue
		}
		for _, x := range list {
			c.say("  %s", changeLine(x))
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
	return fmt.Sprintf("%s, %s → %s", strings.Join(words, ", "), size(before), size(after))
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
		return size(e.Size)
	default:
		return e.Kind
	}
}
