package build

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
)

// Describer says what a tree is as WordPress.
type Describer struct {
	// Name changes when other descriptions of the same tree and version are to
	// be expected: what is remembered under another name is not used, and
	// without a name nothing is told of an earlier build.
	Name string
	// Describe is called while the tree is watched for changes, and not at
	// all when the tree is the one remembered. What the tree's directories hold
	// is told from the build's own walk; files are read from the disk, and so is
	// what the build leaves out. Its error ends the build.
	Describe func(ctx context.Context, tree fs.FS, then Remembered) (Description, error)
}

// Remembered is what is known of a tree from the last build that a Describer
// of the same name described, of whatever version. The zero value knows
// nothing. It is of use until Describe returns.
type Remembered struct {
	// Unchanged reports whether a file of the tree, by its path below it, is
	// as it was in that build; nil knows of none.
	Unchanged func(path string) bool
	Notes     []byte // of that build's Description; empty when there are none
}

// Description is what a manifest and the document beside it say of a tree.
type Description struct {
	WordPress *artifact.WordPress
	SBOM      []byte // the bill of materials; empty leaves it out
	// Notes are handed to the next Describe. They lie in the cache, whole or
	// not at all, never in the artifact; what is larger than 8 MiB is not kept.
	Notes []byte
}

// maxNotes bounds what the cache keeps for a Describer.
const maxNotes = 8 << 20

// kept are the notes that the cache keeps.
func (d *Description) kept() []byte {
	if len(d.Notes) > maxNotes {
		return nil
	}
	return d.Notes
}

// Always describes every tree as d.
func Always(d Description) *Describer {
	name, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings, numbers and bytes always encode
	}
	return &Describer{Name: string(name), Describe: func(context.Context, fs.FS, Remembered) (Description, error) { return d, nil }}
}

// describe has a tree described, of which known files are as they were.
func (b *builder) describe(ctx context.Context, then *remembered, found tree.Listing, known []bool) (Description, error) {
	if b.Describe == nil {
		return Description{}, nil
	}
	d, err := b.Describe.Describe(ctx, tree.NewView(os.DirFS(b.Tree), found), b.told(then, found.Entries, known))
	if err != nil {
		return Description{}, err
	}
	return d, d.WordPress.Validate()
}

// told is what the Describer may know of the last build.
func (b *builder) told(then *remembered, all []tree.Entry, known []bool) Remembered {
	if name := b.describer(); name == "" || name != then.describer {
		return Remembered{}
	}
	return Remembered{Notes: then.notes, Unchanged: func(path string) bool {
		i, ok := slices.BinarySearchFunc(all, path, func(e tree.Entry, path string) int { return artifact.ComparePaths(e.Path, path) })
		return ok && known[i] && all[i].Kind == artifact.KindFile
	}}
}

func (b *builder) describer() string {
	if b.Describe == nil {
		return ""
	}
	return b.Describe.Name
}
