package timed

import (
	"context"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// releases is a store whose calls have a time.
type releases struct{ artifact.ReleaseStore }

// Get implements artifact.ReleaseStore.
func (s releases) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	return Get(ctx, s.ReleaseStore, name, off, n)
}

// List implements artifact.ReleaseStore.
func (s releases) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	ctx, cancel := limit(ctx, Listing, prefix, "listing")
	defer cancel()
	stats, err := s.ReleaseStore.List(ctx, prefix)
	return stats, blame(ctx, err)
}

// Put implements artifact.ReleaseStore. The time is that of a document twice,
// as what is stored may be read back, and grows with the body.
func (s releases) Put(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	ctx, cancel := limit(ctx, 2*(Document+time.Duration(body.Size/Rate)*time.Second), name, "writing")
	defer cancel()
	st, err := s.ReleaseStore.Put(ctx, name, body, c)
	return st, blame(ctx, err)
}

// bucket is a store of rollouts, whose calls have a time.
type bucket struct {
	Bucket
	timed releases
}

// Get implements artifact.ReleaseStore.
func (b bucket) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	return b.timed.Get(ctx, name, off, n)
}

// List implements artifact.ReleaseStore.
func (b bucket) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	return b.timed.List(ctx, prefix)
}

// Put implements artifact.ReleaseStore.
func (b bucket) Put(ctx context.Context, name string, body artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	return b.timed.Put(ctx, name, body, c)
}

// Delete implements artifact.Store.
func (b bucket) Delete(ctx context.Context, name string, c artifact.Condition) error {
	ctx, cancel := limit(ctx, Document, name, "deleting")
	defer cancel()
	return blame(ctx, b.Bucket.Delete(ctx, name, c))
}
