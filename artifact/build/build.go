package build

import (
	"context"
	"encoding/json"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
)

// Build makes the artifact of a tree as it is, below Out. The same tree gives the
// same bytes on every machine. Out may lie inside the tree; it is left out then.
// An earlier build of the version in Out is replaced; on failure nothing new is
// left.
//
// With a Cache the same artifact is made with less work: files are not read
// whose stamp the kernel has not changed since an earlier build read them, and
// frames are taken from its artifact. A cache that is missing, damaged or of
// another wpbake is ignored. Who can write to it decides what is built.
//
// Errors are *tree.Refused, *tree.Unsteady or those of the file systems.
func Build(ctx context.Context, o Options) (Built, error) {
	b, err := Open(o)
	if err != nil {
		return Built{}, err
	}
	defer b.Close()
	return b.asItIs(ctx, Folder(o.Out))
}

// PublishTree builds a tree as Build does and puts the artifact into a store
// while it is made: no file of it is written but the cache's. What it promises
// is what Publish promises. When the store has the version already, or its
// artifact, the tree is built all the same, to compare, and nothing is sent.
func PublishTree(ctx context.Context, store artifact.ReleaseStore, o Options) (Published, error) {
	o.Out = ""
	b, err := Open(o)
	if err != nil {
		return Published{}, err
	}
	defer b.Close()
	built, err := b.asItIs(ctx, Shelf(store))
	return Published{Digest: built.Digest, Created: built.Created, Forgot: built.Forgot}, err
}

// asItIs builds the tree, which nobody checks, until it held still once.
func (b *Builder) asItIs(ctx context.Context, to Sink) (Built, error) {
	var changed *tree.Change
	for range tree.MaxReads {
		var built Built
		var err error
		if built, changed, err = b.once(ctx, to); err != nil || changed == nil {
			return built, err
		}
	}
	return Built{}, &tree.Unsteady{Path: changed.Path, Reason: changed.Reason, Reads: tree.MaxReads}
}

func (b *Builder) once(ctx context.Context, to Sink) (Built, *tree.Change, error) {
	key, err := json.Marshal(b.Described)
	if err != nil {
		return Built{}, nil, err
	}
	scanned, err := b.Scan(ctx)
	if err != nil || scanned.Changed != nil {
		return Built{}, scanned.Changed, err
	}
	if err := scanned.Refusal(); err != nil {
		return Built{}, nil, err
	}
	if built, stands, err := b.Standing(ctx, scanned, string(key), to); stands || err != nil {
		return built, nil, err
	}
	if err := scanned.Settle(ctx); err != nil {
		return Built{}, nil, err
	}
	return b.Pack(ctx, Work{Scanned: scanned, Laid: scanned, Description: b.Described, Key: string(key)}, to)
}
