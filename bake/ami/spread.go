package ami

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// spread copies an image to other regions, lets accounts in, and writes down
// what there is. Repeated, it finds what it did. All copies are asked for
// before the first is waited for.
func (b *baker) spread(ctx context.Context, one Image) (map[string]string, error) {
	copies := map[string]string{}
	for _, region := range b.Regions {
		if region == one.Region {
			continue
		}
		id, err := b.copyTo(ctx, region, one)
		if err != nil {
			return nil, fmt.Errorf("copying image %q to %s: %w", one.ID, region, err)
		}
		copies[region] = id
	}
	if err := b.finish(ctx, one); err != nil {
		return nil, err
	}
	for _, region := range slices.Sorted(maps.Keys(copies)) {
		there, err := b.await(ctx, region, copies[region])
		if err == nil {
			err = b.finish(ctx, there)
		}
		if err != nil {
			return nil, fmt.Errorf("copying image %q to %s: %w", one.ID, region, err)
		}
	}
	return copies, nil
}

// copyTo returns the copy in a region, which may be pending. EC2 goes on with
// one that somebody began, whatever became of who began it.
func (b *baker) copyTo(ctx context.Context, region string, one Image) (string, error) {
	all, err := b.Images.Find(ctx, region, identity(b.Owner))
	if err != nil {
		return "", err
	}
	for _, there := range all {
		if there.State == Available && (there.Encrypted || !b.Encrypted) || there.State == Pending {
			return there.ID, nil
		}
	}
	return b.Images.Copy(ctx, Copy{
		From: one, To: region, Description: fmt.Sprintf("WordPress release %s, %s", b.Owner.Version, b.Owner.Manifest),
		Encrypted: b.Encrypted, Tags: b.Owner.Map(), Token: b.Owner.Run + "-" + region,
	})
}

// await waits until an image is available.
func (b *baker) await(ctx context.Context, region, id string) (Image, error) {
	seen := false
	for end := time.Now().Add(settling); ; {
		all, err := b.Images.Find(ctx, region, identity(b.Owner))
		if err != nil {
			return Image{}, err
		}
		n := slices.IndexFunc(all, func(one Image) bool { return one.ID == id })
		switch {
		case n >= 0 && all[n].State == Available:
			return all[n], nil
		case n >= 0 && all[n].State != Pending:
			return Image{}, fmt.Errorf("image %q is %s", id, all[n].State)
		case n < 0 && (seen || time.Now().After(end)):
			return Image{}, fmt.Errorf("image %q is gone", id)
		}
		seen = seen || n >= 0
		if err := pause(ctx, b.Poll); err != nil {
			return Image{}, err
		}
	}
}

// finish lets accounts in, sets the date of deprecation and writes the record.
func (b *baker) finish(ctx context.Context, one Image) error {
	a := Access{Accounts: b.Accounts}
	if b.Deprecate > 0 && one.Deprecated.IsZero() {
		a.Deprecate = one.Created.Add(b.Deprecate)
		if a.Deprecate.Before(time.Now()) {
			b.Note(fmt.Sprintf("image %s would be deprecated since %s: left as it is", one.ID, a.Deprecate.Format(time.DateOnly)))
			a.Deprecate = time.Time{}
		}
	}
	if len(a.Accounts) > 0 || !a.Deprecate.IsZero() {
		if err := b.Images.Open(ctx, one, a); err != nil {
			return err
		}
	}
	return Write(ctx, b.Store, artifact.Version(b.Owner.Version), one)
}

// Find returns the images that ids name, by region, if they are of a release.
func Find(ctx context.Context, images Images, m owner.Tags, ids map[string]string) ([]Image, error) {
	var found []Image
	for _, region := range slices.Sorted(maps.Keys(ids)) {
		all, err := images.Find(ctx, region, identity(m))
		if err != nil {
			return nil, err
		}
		n := slices.IndexFunc(all, func(one Image) bool { return one.ID == ids[region] })
		if n < 0 {
			return nil, &Untagged{Images: []string{ids[region]}, Tags: identity(m)}
		}
		found = append(found, all[n])
	}
	return found, nil
}
