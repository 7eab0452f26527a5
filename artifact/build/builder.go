package build

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
)

// Options says what to build. Tree and Version are required.
type Options struct {
	Tree      string // the WordPress directory; a link is resolved once
	Out       string // a directory that is written to, which is left out of the tree; may be empty
	Version   artifact.Version
	Prefix    string   // directory that holds the tree in the artifact; empty is "wordpress"
	Exclude   []string // patterns of what to leave out; nil is tree.DefaultExcludes
	Cache     string   // directory to remember builds in; empty remembers nothing
	CacheName string   // what the cache knows the tree by; empty is its path
	Described Description
	Progress  func(artifact.Progress)
}

// Description is what a manifest and the document beside it say of a tree.
type Description struct {
	WordPress *artifact.WordPress // nil leaves it out
	SBOM      []byte              // the bill of materials; empty leaves it out
}

// Built is an artifact, on disk or in a store.
type Built struct {
	Manifest artifact.Manifest
	Digest   artifact.Digest // the manifest's
	Dir      string          // holds wordpress.tar.zst, sbom.cdx.json and manifest.json; empty when a store does
	Created  bool            // in a store; false when the version was there already, with equal bytes
	Forgot   error           // why nothing was remembered in the cache; the artifact is whole
}

// A Builder builds one tree, step by step: Scan, Standing, Known, Pack. What
// comes between the steps, such as a check of the tree, is its caller's.
type Builder struct {
	Options
	root    tree.Dir
	exclude tree.Excludes
	cache   *cache // nil remembers nothing
	last    *remembered
	now     func() time.Time
}

// Open opens a tree, and what the cache knows of it. The caller closes it.
func Open(o Options) (*Builder, error) {
	if _, err := artifact.ParseVersion(string(o.Version)); err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = "wordpress"
	}
	if err := artifact.CheckPrefix(o.Prefix); err != nil {
		return nil, err
	}
	if o.Exclude == nil {
		o.Exclude = tree.DefaultExcludes()
	}
	at, err := filepath.EvalSymlinks(o.Tree)
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	if o.Out != "" {
		if o.Exclude, err = excludeOut(o.Exclude, at, o.Out); err != nil {
			return nil, err
		}
	}
	o.Tree = at
	exclude, err := tree.ParseExcludes(o.Exclude)
	if err != nil {
		return nil, err
	}
	root, err := tree.OpenDir(at)
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	c := newCache(o, at)
	return &Builder{Options: o, root: root, exclude: exclude, cache: c, last: c.load(), now: time.Now}, nil
}

// Close closes the tree.
func (b *Builder) Close() error {
	b.last.close()
	return b.root.Close()
}

// Disk is the tree's directory.
func (b *Builder) Disk() fs.FS { return os.DirFS(b.Tree) }

// Scan lists the tree, by what the cache knows of it.
func (b *Builder) Scan(ctx context.Context) (tree.Listing, error) {
	var last *tree.Listing
	if b.sameExcludes() {
		last = &b.last.tree
	}
	return tree.Scan(ctx, b.root, b.exclude, last)
}

// sameExcludes tells whether what is remembered is of a walk that left out the
// same.
func (b *Builder) sameExcludes() bool {
	return tree.StampsTell && b.last.exclude == strings.Join(b.Exclude, "\n")
}

// Standing looks whether the tree is the one that is remembered, built under the
// same key, and stands in the sink already: then there is nothing to do. One scan
// is enough to know: each entry was, when it was looked at, still as it was
// remembered, so all of them were when the scan began.
func (b *Builder) Standing(ctx context.Context, t tree.Listing, key string, to Sink) (built Built, stands bool, err error) {
	if !b.sameExcludes() || !b.last.follows || b.last.key != key || b.last.manifest.Version != b.Version || !t.Same(&b.last.tree) {
		return Built{}, false, nil
	}
	m := b.last.manifest
	stands, err = to.holds(ctx, b.last)
	return Built{Manifest: m, Digest: m.Digest(), Dir: to.folder(b.Version)}, stands, err
}

// Known is what is known of a tree from the last build under the same key, of
// whatever version. The zero value knows nothing.
type Known struct {
	Unchanged func(path string) bool // whether a file is as that build read it; nil knows of none
	Notes     []byte                 // of that build's Work; empty when there are none
}

// Known tells what is known of a tree that was scanned.
func (b *Builder) Known(t tree.Listing, key string) Known {
	if key == "" || key != b.last.key {
		return Known{}
	}
	known := b.last.recall(t.Entries, make([]artifact.Member, len(t.Entries)))
	return Known{Notes: b.last.notes, Unchanged: func(path string) bool {
		i, ok := slices.BinarySearchFunc(t.Entries, path, func(e tree.Entry, path string) int { return artifact.ComparePaths(e.Path, path) })
		return ok && known[i] && t.Entries[i].Kind == artifact.KindFile
	}}
}

// Work is what becomes of a tree that was scanned.
type Work struct {
	Scanned     tree.Listing // as Scan returned it
	Laid        tree.Listing // what the release holds: Scanned with an overlay over it, or Scanned itself
	Description Description

	// Key names all that Laid and Description follow from, beside the tree: under
	// the same key the same tree makes the same release. What is remembered under
	// another is not used for more than bytes.
	Key string
	// Foreign says that Laid has content that neither the tree nor Key tells from
	// other content: the next build is not told from this one by them.
	Foreign bool
	// Notes are for the next build under the same key. They lie in the cache, whole
	// or not at all, never in the artifact; what is larger than 8 MiB is not kept.
	Notes []byte
}

// Pack makes the artifact and puts it into the sink, once a second look has shown
// that the tree held still meanwhile. What did not is the change, and nothing is
// left of the artifact then.
func (b *Builder) Pack(ctx context.Context, w Work, to Sink) (Built, *tree.Change, error) {
	if err := w.Laid.Refusal(); err != nil {
		return Built{}, nil, err
	}
	if err := w.Description.WordPress.Validate(); err != nil {
		return Built{}, nil, err
	}
	pending, err := to.begin(ctx, b)
	if err != nil {
		return Built{}, nil, err
	}
	defer pending.discard()
	p := b.packer(w.Laid)
	m, err := b.write(ctx, pending, p, w.Description)
	if changed, err := tree.ChangeIn(err); changed != nil || err != nil {
		return Built{}, changed, err
	}
	seen := b.now()
	again, err := w.Scanned.Again(ctx, b.root, b.exclude)
	if err != nil || again.Changed != nil {
		return Built{}, again.Changed, err
	}
	if _, err := artifact.ParseManifest(m.Marshal()); err != nil {
		return Built{}, nil, err
	}
	created, err := pending.commit(ctx, m, w.Description.SBOM)
	if err != nil {
		return Built{}, nil, err
	}
	w.Scanned = again
	forgot := b.cache.save(pending, b.newRemembered(w, p.index, m, seen))
	return Built{Manifest: m, Digest: m.Digest(), Dir: to.folder(b.Version), Created: created, Forgot: forgot}, nil, nil
}
