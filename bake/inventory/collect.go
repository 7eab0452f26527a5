package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// Baked is where finished images and snapshots are, in one region.
type Baked interface {
	// Finished lists the account's own that carry TagManifest. Within of a
	// snapshot are the images that are made of it, whoever made them.
	Finished(ctx context.Context) ([]Resource, error)
	// References lists what launches, may launch or runs from an image or a
	// snapshot, and what the template versions of roots name. Without an error it is
	// complete.
	References(ctx context.Context, roots []Root) ([]Reference, error)
	// Shared tells whom else an image or snapshot is for; empty for nobody.
	Shared(ctx context.Context, r Resource) (string, error)
	// Remove removes one; one that is gone is no error.
	Remove(ctx context.Context, r Resource) error
}

// Reference says who needs an image or a snapshot.
type Reference struct {
	ID string
	By string // such as "instance i-1"
}

// Template names a version of a launch template.
type Template struct {
	ID      string
	Name    string // may be empty
	Version string // its number
}

// Root is a release that a group may still go to, so that what was baked for
// it must stay.
type Root struct {
	Why       string // such as "group \"shop\" can go back to v41"
	Manifest  artifact.Digest
	Templates []Template
	Image     string // AMI
	Snapshot  string // of a release volume
}

// Collect is a search for images and release volumes that nothing needs.
type Collect struct {
	Baked  Baked
	Store  string        // whose releases they are of; others stay
	Roots  []Root        // of the groups of the store
	Young  time.Duration // what was made less long ago stays
	Shared bool          // what others may use goes too
	Judge  Judge
	DryRun bool          // removes nothing
	Told   func(Verdict) // of each once it is settled; nil tells nobody
}

// Run removes what nothing needs. An error means that not everything that may
// need something could be seen, and that nothing was removed.
func (c Collect) Run(ctx context.Context) ([]Verdict, error) {
	// In this order: what is referred to after the references were listed is
	// either younger than the list or was referred to before.
	things, err := c.Baked.Finished(ctx)
	if err != nil {
		return nil, err
	}
	references, err := c.Baked.References(ctx, c.Roots)
	if err != nil {
		return nil, err
	}
	found := c.judge(things, references)
	c.keepShared(ctx, found)
	held(found)
	if !c.DryRun {
		remove(ctx, []Kind{Image, Snapshot}, found, c.Baked.Remove)
	}
	if c.Told != nil {
		for _, v := range found {
			c.Told(v)
		}
	}
	return found, nil
}

// judge gives the verdicts of those that are of the store.
func (c Collect) judge(things []Resource, references []Reference) []Verdict {
	var found []Verdict
	for _, r := range things {
		if !sameStore(r.Tags[owner.TagStore], c.Store) || r.Tags[owner.TagManifest] == "" {
			continue
		}
		v := Verdict{Resource: r, Reason: c.needed(r, references)}
		if v.Reason == "" {
			v.Remove, v.Reason = true, fmt.Sprintf("nothing needs it: made %s ago for %s", spent(c.Judge.Now.Sub(r.Created)), r.Tags[owner.TagVersion])
		}
		found = append(found, v)
	}
	held(found)
	return found
}

// needed says why a thing stays, or nothing.
func (c Collect) needed(r Resource, references []Reference) string {
	for _, one := range references {
		if one.ID == r.ID {
			return one.By + " names it"
		}
	}
	for _, root := range c.Roots {
		if root.Manifest == artifact.Digest(r.Tags[owner.TagManifest]) || root.Image == r.ID || root.Snapshot == r.ID {
			return root.Why
		}
	}
	if age := c.Judge.Now.Sub(r.Created); age < c.Young {
		return fmt.Sprintf("is only %s old; %s are wanted", spent(age), spent(c.Young))
	}
	// Finished by a bake that may be about to release it. Without tags that
	// say so, nobody is.
	if r.Tags[owner.TagExpires] == "" {
		return ""
	}
	unfinished := r
	unfinished.State = ""
	if dead, why := c.Judge.dead(unfinished); !dead {
		return why
	}
	return ""
}

// keepShared asks about what would go, for that takes a call each.
func (c Collect) keepShared(ctx context.Context, found []Verdict) {
	for i := range found {
		v := &found[i]
		if !v.Remove || c.Shared {
			continue
		}
		with, err := c.Baked.Shared(ctx, v.Resource)
		switch {
		case err != nil:
			v.Err = err
		case with != "":
			v.Remove, v.Reason = false, fmt.Sprintf("is shared with %s; --shared removes it all the same", with)
		}
	}
}

// sameStore compares URLs as people write them.
func sameStore(a, b string) bool {
	return a != "" && strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

// held keeps what something holds that stays, and says by what.
func held(found []Verdict) {
	goes := func(id string) bool {
		return slices.ContainsFunc(found, func(v Verdict) bool { return v.ID == id && v.Remove })
	}
	for i := range found {
		v := &found[i]
		for _, id := range v.Within {
			if v.Remove && !goes(id) {
				v.Remove = false
				if v.Reason = fmt.Sprintf("is attached to instance %s, which is not dead", id); v.Kind == Snapshot {
					v.Reason = fmt.Sprintf("image %s, which stays, is made of it", id)
				}
			}
		}
	}
}

// remove removes what is to go, kind by kind. What something still holds that
// could not be removed is not tried.
func remove(ctx context.Context, kinds []Kind, found []Verdict, one func(context.Context, Resource) error) {
	for _, kind := range kinds {
		for i := range found {
			v := &found[i]
			if v.Kind != kind || !v.Remove || v.Err != nil {
				continue
			}
			switch holder := holderLeft(*v, found); {
			case holder != nil:
				v.Err = fmt.Errorf("%s %s, which holds it, is still there", holder.Kind, holder.ID)
			case ctx.Err() != nil:
				v.Err = ctx.Err()
			default:
				v.Err = one(ctx, v.Resource)
			}
		}
	}
}

func holderLeft(v Verdict, found []Verdict) *Verdict {
	for i, other := range found {
		if other.Err != nil && slices.Contains(v.Within, other.ID) {
			return &found[i]
		}
	}
	return nil
}

// Left are those that were to be removed and are perhaps still there.
func Left(found []Verdict) []Verdict {
	return slices.DeleteFunc(slices.Clone(found), func(v Verdict) bool { return v.Err == nil })
}
