package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress"
)

// carryIntoBuild needs a store only where something is carried over.
func (b builder) carryIntoBuild(ctx context.Context, v artifact.Version) (*bake.Carry, error) {
	if b.cfg.CarryAssets == "" {
		return nil, nil
	}
	store, err := openReleases(ctx, b.cfg)
	if err != nil {
		return nil, err
	}
	return b.carryFrom(ctx, store, v)
}

// carryFrom finds the release that v keeps assets of; nil when there is none.
func (b builder) carryFrom(ctx context.Context, store artifact.ReleaseStore, v artifact.Version) (*bake.Carry, error) {
	from := artifact.Version(b.cfg.CarryAssets)
	switch b.cfg.CarryAssets {
	case "":
		return nil, nil
	case cli.Current:
		var err error
		if from, err = b.currentFor(ctx, store, v); err != nil || from == "" {
			return nil, err
		}
	case string(v):
		return nil, cli.Misuse(fmt.Errorf("%s cannot carry over its own assets", v), "--carry-assets names the version before, or current")
	}
	m, _, err := artifact.Find(ctx, store, from)
	if errors.Is(err, artifact.ErrNotFound) {
		return nil, cli.Hinted(fmt.Errorf("carrying over assets: %w", err), "wpbake show lists what is published; --carry-assets off carries nothing")
	}
	return &bake.Carry{Store: store, From: m}, err
}

// currentFor is the version that the group runs; for a version that is
// published already the one that it was built with, so that building it again
// gives the same bytes also once the group runs it.
func (b builder) currentFor(ctx context.Context, store artifact.ReleaseStore, v artifact.Version) (artifact.Version, error) {
	m, _, err := artifact.Find(ctx, store, v)
	if err == nil {
		carried, err := bake.CarriedBy(ctx, store, m)
		return carried.From, err
	}
	if !errors.Is(err, artifact.ErrNotFound) {
		return "", err
	}
	return b.open.current(ctx, b.cfg)
}

// carriedView is what was carried over, for people and programs.
type carriedView struct {
	From  artifact.Version `json:"from"`
	Files int              `json:"files"`
	Bytes int64            `json:"bytes"`
}

// viewCarried is nil when nothing was carried.
func viewCarried(c wordpress.Carried) *carriedView {
	if len(c.Files) == 0 {
		return nil
	}
	return &carriedView{c.From, len(c.Files), c.Bytes()}
}

// lookCarried tells of a published version what it carries. A bill of
// materials that did not come along when a release was copied is no fault here.
func lookCarried(ctx context.Context, out *cli.Output, store artifact.ReleaseStore, m artifact.Manifest) *carriedView {
	carried, err := bake.CarriedBy(ctx, store, m)
	if err != nil {
		out.Note("whether %s carries assets of another version is not known: %v", m.Version, err)
	}
	return viewCarried(carried)
}

func (v carriedView) String() string {
	return fmt.Sprintf("carried over: %s, %s, from %s", cli.Count(v.Files, "file"), cli.Size(v.Bytes), v.From)
}
