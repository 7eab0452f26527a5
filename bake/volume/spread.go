package volume

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// spread copies a finished snapshot to other regions and shares it with other
// accounts. Repeated, it finds what is there.
func (b *baker) spread(ctx context.Context, made *Baked) error {
	if len(b.Accounts) > 0 {
		if err := b.Snapshots.Share(ctx, "", made.Snapshot, b.Accounts); err != nil {
			return err
		}
	}
	if len(b.Regions) == 0 {
		return nil
	}
	made.Copies = map[string]string{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, region := range b.Regions {
		g.Go(func() error {
			id, err := b.copyTo(ctx, region, *made)
			if err != nil {
				return fmt.Errorf("copying snapshot %q to %s: %w", made.Snapshot, region, err)
			}
			mu.Lock()
			defer mu.Unlock()
			made.Copies[region] = id
			return nil
		})
	}
	return g.Wait()
}

// copyTo returns the copy in a region. One that somebody began goes on by
// itself, whatever became of who began it.
func (b *baker) copyTo(ctx context.Context, region string, made Baked) (string, error) {
	id, err := b.copyIn(ctx, region)
	if err == nil && id == "" {
		id, err = b.Snapshots.Copy(ctx, Copy{
			Snapshot: made.Snapshot, To: region, Description: b.description(), Encrypted: b.Encrypted, Tags: b.tags(made.Image),
		})
	}
	if err == nil {
		b.Note(fmt.Sprintf("waiting for copy %s in %s", id, region))
		err = b.await(ctx, region, id)
	}
	if err == nil && len(b.Accounts) > 0 {
		err = b.Snapshots.Share(ctx, region, id, b.Accounts)
	}
	return id, err
}

func (b *baker) copyIn(ctx context.Context, region string) (string, error) {
	all, err := b.Snapshots.Find(ctx, region, b.identity())
	if err != nil {
		return "", err
	}
	for _, s := range all {
		if s.State != Errored {
			return s.ID, nil
		}
	}
	return "", nil
}
