package rollout

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Root is a release that a group may still go to, so that what was baked for
// it must stay.
type Root struct {
	Group     string
	Why       string // such as "group \"shop\" can go back to v41"
	Manifest  artifact.Digest
	Templates []TemplateRef
	Image     string // AMI
	Snapshot  string // of a release volume
}

// Roots returns, of every group that has rollouts in the store: the newest
// keep proven releases that were not withdrawn and one more, for the newest is
// most often the one that runs; and what an unfinished run goes to or comes
// from, whether anybody attends it or not.
func Roots(ctx context.Context, store artifact.Store, keep int) ([]Root, error) {
	groups, err := rolloutGroups(ctx, store)
	if err != nil {
		return nil, err
	}
	var roots []Root
	for _, group := range groups {
		d := documents{store: store, group: group}
		p, err := d.proven(ctx)
		if err != nil {
			return nil, err
		}
		roots = append(roots, p.roots(group, keep+1)...)
		open, err := d.openRoots(ctx)
		if err != nil {
			return nil, err
		}
		roots = append(roots, open...)
	}
	return roots, nil
}

// rolloutGroups are the groups that the store has documents of.
func rolloutGroups(ctx context.Context, store artifact.Store) ([]string, error) {
	const folder = "rollouts/"
	stats, err := store.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	var groups []string
	last := ""
	for _, st := range stats {
		name, _, ok := strings.Cut(strings.TrimPrefix(st.Name, folder), "/")
		if !ok || name == last {
			continue
		}
		last = name
		group, err := url.PathUnescape(name)
		if err != nil {
			return nil, &InterventionRequired{Text: fmt.Sprintf("listing rollouts: %q is no group's folder: %v", folder+name, err), Fix: "look at the objects; move them away if they are not wpbake's"}
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func (p Proven) roots(group string, most int) []Root {
	var roots []Root
	for _, r := range p.Releases {
		if !r.Withdrawn.IsZero() || len(roots) == most {
			continue
		}
		roots = append(roots, Root{
			Group: group, Why: fmt.Sprintf("group %q can go back to %s", group, r.Version), Manifest: r.Manifest, Templates: r.Templates,
		})
	}
	return roots
}

// openRoots are those of the group's unfinished run. A run has the lock before
// it has a record.
func (d documents) openRoots(ctx context.Context) ([]Root, error) {
	l, _, err := d.lock(ctx)
	if err != nil || l.Run == "" {
		return nil, err
	}
	rec, _, err := d.record(ctx, l.Run)
	if err != nil {
		return nil, err
	}
	if rec.Outcome != "" && !l.Expires.After(time.Now()) {
		return nil, nil
	}
	root := Root{
		Group: d.group, Why: fmt.Sprintf("the %s of %s to group %q is not finished (run %s)", l.Kind, l.Version, d.group, l.Run),
		Manifest: l.Manifest, Image: rec.Image,
	}
	root.Templates = append(append(root.Templates, rec.Base...), rec.Templates...)
	if rec.Volume != nil {
		root.Snapshot = rec.Volume.Snapshot
	}
	return []Root{root}, nil
}
