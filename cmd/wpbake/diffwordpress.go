package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
)

// liveDatabase asks the group's database, if that is wanted.
func (c *cli) liveDatabase(ctx context.Context, cfg Config, o diffOptions) (*wordpress.Database, error) {
	if !o.live {
		return nil, nil
	}
	r, err := c.connect(ctx, cfg, rollout.Options{})
	if err != nil {
		return nil, err
	}
	return r.Database(ctx)
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
	if _, err := artifact.Fetch(ctx, store, artifact.FetchOptions{Version: m.Version, Digest: m.Digest(), Dest: dest}); err != nil {
		return nil, err
	}
	got, err := wordpress.CompareUpstream(os.DirFS(filepath.Join(dest, m.Tree.Prefix)), sums)
	return &got, err
}

// sayWordPress tells what changed in WordPress's terms.
func (c *cli) sayWordPress(before artifact.Version, changes []wordpress.Change) {
	for _, x := range changes {
		if line := wordPressLine(x); x.Kind == "assets" {
			c.say("%s; --carry-assets %s keeps those of plugins and themes that stay", line, before)
		} else {
			c.say("%s", line)
		}
	}
}

// sayCarried tells what is there only for pages of the release before.
func (c *cli) sayCarried(v *carriedView) {
	if v != nil {
		c.say("%s", v)
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
		return fmt.Sprintf("assets removed: %s; while both versions serve, pages of one ask nodes of the other for them", files(x.Files))
	case x.Change != "changed":
		line = strings.Join(strings.Fields(name+" "+x.Before+x.After+" "+x.Change), " ")
	case x.Before != x.After:
		line = fmt.Sprintf("%s %s → %s", name, orDash(x.Before), orDash(x.After))
	default:
		line = fmt.Sprintf("%s changed: %s", name, files(x.Files))
	}
	if x.Active {
		line += " (active in the database)"
	}
	return line
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func (c *cli) sayUpstream(u *wordpress.Upstream) {
	if u == nil {
		return
	}
	if len(u.Differ)+len(u.Missing)+len(u.Extra) == 0 {
		c.say("upstream: WordPress is as its checksums say")
		return
	}
	for _, x := range []struct {
		word  string
		names []string
	}{{"differs from", u.Differ}, {"missing, is in", u.Missing}, {"not in", u.Extra}} {
		for _, name := range x.names {
			c.say("%s: %s upstream", name, x.word)
		}
	}
}
