package inventory

import (
	"context"
	"fmt"
	"slices"
)

// Sweep is a search for what dead bakes left.
type Sweep struct {
	Account Account
	Kinds   []Kind // in the order of removal
	Judge   Judge
	DryRun  bool          // removes nothing
	Told    func(Verdict) // of each thing once it is settled; nil tells nobody
}

// Swept is what a Sweep found.
type Swept struct {
	Found  []Verdict
	Unseen []Unseen
}

// Unseen is a kind of things that could not be listed.
type Unseen struct {
	Kind Kind
	Err  error
}

// Run finds everything first, so that it can tell what holds what, and then
// removes what is dead. A failure stops neither: what is not in its way goes
// on. Only the end of ctx does.
func (s Sweep) Run(ctx context.Context) Swept {
	var swept Swept
	for _, kind := range s.Kinds {
		found, err := s.Account.Unfinished(ctx, kind)
		if err != nil {
			swept.Unseen = append(swept.Unseen, Unseen{kind, err})
		}
		for _, r := range found {
			swept.Found = append(swept.Found, s.Judge.Dead(r))
		}
	}
	held(swept.Found)
	if !s.DryRun {
		s.remove(ctx, swept.Found)
	}
	if s.Told != nil {
		for _, v := range swept.Found {
			s.Told(v)
		}
	}
	return swept
}

// held keeps volumes that an instance has which is not dead itself.
func held(found []Verdict) {
	ends := func(id string) bool {
		return slices.ContainsFunc(found, func(v Verdict) bool { return v.Kind == Instance && v.ID == id && v.Remove })
	}
	for i, v := range found {
		for _, id := range v.Within {
			if v.Remove && !ends(id) {
				found[i].Remove, found[i].Reason = false, fmt.Sprintf("is attached to instance %s, which is not dead", id)
			}
		}
	}
}

// remove goes through the kinds in order and waits for instances to end, for
// they hold volumes and groups.
func (s Sweep) remove(ctx context.Context, found []Verdict) {
	for _, kind := range s.Kinds {
		for i := range found {
			if v := &found[i]; v.Kind == kind && v.Remove {
				v.Err = s.removeOne(ctx, *v, found)
			}
		}
		for i := range found {
			if v := &found[i]; kind == Instance && v.Kind == kind && v.Remove && v.Err == nil {
				v.Err = s.Account.Ended(ctx, v.ID)
			}
		}
	}
}

func (s Sweep) removeOne(ctx context.Context, v Verdict, found []Verdict) error {
	for _, other := range found {
		if other.Err != nil && slices.Contains(v.Within, other.ID) {
			return fmt.Errorf("instance %s, which it is attached to, has not ended", other.ID)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.Account.Remove(ctx, v.Resource)
}

// Left are the things that were to be removed and are perhaps still there.
func (s Swept) Left() []Verdict {
	return slices.DeleteFunc(slices.Clone(s.Found), func(v Verdict) bool { return v.Err == nil })
}
