package inventory

import (
	"context"
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

// remove waits for instances to end, for they hold volumes and groups.
func (s Sweep) remove(ctx context.Context, found []Verdict) {
	remove(ctx, []Kind{Instance}, found, s.Account.Remove)
	for i := range found {
		if v := &found[i]; v.Kind == Instance && v.Remove && v.Err == nil {
			v.Err = s.Account.Ended(ctx, v.ID)
		}
	}
	others := slices.DeleteFunc(slices.Clone(s.Kinds), func(k Kind) bool { return k == Instance })
	remove(ctx, others, found, s.Account.Remove)
}
