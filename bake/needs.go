package bake

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Need is a release that a group may still go to, so that what was baked for
// it must stay.
type Need struct {
	Group     string
	Why       string // such as "group \"shop\" can go back to v41"
	Manifest  artifact.Digest
	Templates []TemplateRef
	Image     string // AMI
	Snapshot  string // of a release volume
}

// Needs returns, of every group that has rollouts in the store: the newest
// keep proven releases that were not withdrawn and one more, for the newest is
// most often the one that runs; and what an unfinished run goes to or comes
// from, whether anybody attends it or not.
func Needs(ctx context.Context, store artifact.Store, keep int) ([]Need, error) {
	groups, err := rolloutGroups(ctx, store)
	if err != nil {
		return nil, err
	}
	var needs []Need
	for _, group := range groups {
		d := documents{store: store, group: group}
		p, err := d.proven(ctx)
		if err != nil {
			return nil, err
		}
		needs = append(needs, p.needs(group, keep+1)...)
		open, err := d.openNeeds(ctx)
		if err != nil {
			return nil, err
		}
		needs = append(needs, open...)
	}
	return needs, nil
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
			return nil, &PersonNeeded{Text: fmt.Sprintf("listing rollouts: %q is no group's folder: %v", folder+name, err), Fix: "look at the objects; move them away if they are not wpbake's"}
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func (p Proven) needs(group string, most int) []Need {
	var needs []Need
	for _, r := range p.Releases {
		if !r.Withdrawn.IsZero() || len(needs) == most {
			continue
		}
		needs = append(needs, Need{
			Group: group, Why: fmt.Sprintf("group %q can go back to %s", group, r.Version), Manifest: r.Manifest, Templates: r.Templates,
		})
	}
	return needs
}

// openNeeds are those of the group's unfinished run. A run has the lock before
// it has a record.
func (d documents) openNeeds(ctx context.Context) ([]Need, error) {
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
	n := Need{
		Group: d.group, Why: fmt.Sprintf("the %s of %s to group %q is not finished (run %s)", l.Kind, l.Version, d.group, l.Run),
		Manifest: l.Manifest, Image: rec.Image,
	}
	n.Templates = append(append(n.Templates, rec.Base...), rec.Templates...)
	if rec.Volume != nil {
		n.Snapshot = rec.Volume.Snapshot
	}
	return []Need{n}, nil
}
