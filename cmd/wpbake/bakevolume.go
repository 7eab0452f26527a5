package main

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/volume"
	"github.com/wpbake/wpbake/rollout"
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
		Version: b.version, Digest: b.digest, Owner: b.owner, Parent: parent,
		Encrypted: b.cfg.Bake.KMSKey != "", Key: b.cfg.Bake.arn(), Regions: b.cfg.Bake.Regions, Accounts: b.cfg.Bake.Accounts,
		Budget: b.cfg.Bake.budget(), Alive: alive, Progress: m.update, Note: func(text string) { c.note("%s", text) },
	}
	got, err := volume.Bake(ctx, o)
	if err != nil {
		return baked{}, err
	}
	return baked{
		Baked:  rollout.Baked{Volume: &rollout.Volume{Snapshot: got.Snapshot, Image: got.Image, Rate: b.cfg.Bake.InitializeRate}},
		reused: got.Reused, blocks: got.Blocks, copies: got.Copies,
	}, nil
}

// parent is the version whose release volume the new one inherits from.
func (c *cli) parent(ctx context.Context, b baking) (artifact.Version, error) {
	v := artifact.Version(b.cfg.Bake.Parent)
	if v == parentCurrent {
		r, err := c.connect(ctx, b.cfg, rollout.Options{})
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

// putPrice is what EBS takes for writing a thousand blocks, in dollars, as its
// guide's examples have it; regions differ.
const putPrice = 0.006

func (b baking) wouldBakeVolume(ctx context.Context) (string, error) {
	found, err := volume.Find(ctx, volume.Options{
		Snapshots: b.clients.Snapshots(), Digest: b.digest, Owner: b.owner,
		Encrypted: b.cfg.Bake.KMSKey != "", Key: b.cfg.Bake.arn(),
	})
	if err != nil {
		return "", err
	}
	if found != "" {
		return fmt.Sprintf("bake: the release volume of %s is there, snapshot %s", b.version, found), nil
	}
	blocks := (b.manifest.Image.Size + volume.BlockSize - 1) / volume.BlockSize
	return fmt.Sprintf("bake: a release volume of %s would be written, at most %d blocks of 512 KiB for about $%.4f",
		b.version, blocks, float64(blocks)*putPrice/1000), nil
}

// arn is the key to encrypt with, empty for the account's own.
func (b BakeConfig) arn() string {
	if b.KMSKey == keyDefault {
		return ""
	}
	return b.KMSKey
}
