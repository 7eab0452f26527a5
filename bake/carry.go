package bake

import (
	"context"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/wordpress"
)

// Carry is a published release whose assets a new one keeps, for pages of old
// nodes that name them while both serve.
type Carry struct {
	Store artifact.ReleaseStore
	From  artifact.Manifest
}

// CarriedBy is what a published version has of the one before it.
func CarriedBy(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) (wordpress.Carried, error) {
	sbom, err := artifact.SBOM(ctx, store, m)
	if err != nil {
		return wordpress.Carried{}, err
	}
	return wordpress.ReadCarried(sbom)
}

// choose says which assets a tree is to get.
func (c *Carry) choose(ctx context.Context, scanned *tree.Listing, excludes []string) (wordpress.Carried, error) {
	if c == nil {
		return wordpress.Carried{}, nil
	}
	files, err := fetch.Files(ctx, c.Store, c.From)
	if err != nil {
		return wordpress.Carried{}, err
	}
	before, err := CarriedBy(ctx, c.Store, c.From)
	if err != nil {
		return wordpress.Carried{}, err
	}
	leave, err := tree.Excluded(excludes)
	if err != nil {
		return wordpress.Carried{}, err
	}
	kept := wordpress.NewTree{Paths: make(map[string]bool, len(scanned.Entries)), Leave: leave}
	for i := range scanned.Entries {
		e := &scanned.Entries[i]
		kept.Paths[e.Path] = e.Kind == artifact.KindDir
	}
	return wordpress.Carried{From: c.From.Version, Files: wordpress.Carry(files, before, kept)}, nil
}

// members are the files that were chosen; none when nothing is carried over.
func (c *Carry) members(carried wordpress.Carried) *fetch.Members {
	if c == nil {
		return fetch.NewMembers(nil, artifact.Manifest{}, nil)
	}
	return fetch.NewMembers(c.Store, c.From, carried.Files)
}
