package main

import (
	"context"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/bake/volume"
)

// bakeVolume makes a release volume.
func (c *cli) bakeVolume(ctx context.Context, b baking) (baked, error) {
	parent, err := c.parent(ctx, b)
	if err != nil {
		return baked{}, err
	}
	defer fetchMemory.bound()()
	m := c.meter()
	defer m.close()
	o := volume.Options{
		Store: b.store, Snapshots: b.clients.Snapshots(), Writer: b.clients.SnapshotWriter(), Reader: b.clients.SnapshotReader(),
		Version: b.version, Digest: b.digest, Mark: b.mark, Parent: parent,
		Encrypted: b.cfg.Bake.KMSKey != "", Regions: b.cfg.Bake.Regions, Accounts: b.cfg.Bake.Accounts,
		Budget: b.cfg.Bake.budget(), Alive: alive, Progress: m.update, Note: func(text string) { c.note("%s", text) },
	}
	if b.cfg.Bake.KMSKey != keyDefault {
		o.Key = b.cfg.Bake.KMSKey
	}
	got, err := volume.Bake(ctx, o)
	if err != nil {
		return baked{}, err
	}
	return baked{
		Baked:  bake.Baked{Volume: &bake.Volume{Snapshot: got.Snapshot, Image: got.Image, Rate: b.cfg.Bake.InitializeRate}},
		reused: got.Reused, blocks: got.Blocks, copies: got.Copies,
	}, nil
}

// parent is the version whose release volume the new one inherits from.
func (c *cli) parent(ctx context.Context, b baking) (artifact.Version, error) {
	v := artifact.Version(b.cfg.Bake.Parent)
	if v == parentCurrent {
		r, err := c.connect(ctx, b.cfg, bake.Options{})
		if err != nil {
			return "", err
		}
		st, err := r.Status(ctx)
		if err != nil {
			return "", err
		}
		v = st.Version
	}
	if v == b.version {
		return "", nil
	}
	return v, nil
}
