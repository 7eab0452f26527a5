package tree

import "context"

// Again is the second look, after the files of a listing were read: the listing
// with the stamps of now, or with what has changed since.
func (t *Listing) Again(ctx context.Context, root Dir, exclude Excludes) (Listing, error) {
	now := *t
	if t.still(ctx, root) == nil {
		return now, nil
	}
	// What was left out may have changed its directory; a scan tells.
	after, err := Scan(ctx, root, exclude, nil)
	if err != nil {
		return now, err
	}
	if after.Changed == nil {
		after.Changed = compare(t.Entries, after.Entries)
	}
	return after, nil
}
