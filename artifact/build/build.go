package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/scratch"
)

// Options says what to build. Tree and Version are required.
type Options struct {
	Tree      string // the WordPress directory; a link is resolved once
	Out       string // written below: releases/VERSION/, as in a store; PublishTree needs none
	Version   artifact.Version
	Describe  *Describer // nil leaves WordPress and the bill of materials out
	Prefix    string     // directory that holds the tree in the artifact; empty is "wordpress"
	Exclude   []string   // patterns of what to leave out; nil is DefaultExclude
	Cache     string     // directory to remember builds in; empty remembers nothing
	CacheName string     // what the cache knows the tree by; empty is its path
	Progress  func(artifact.Progress)
}

// Built is an artifact on disk.
type Built struct {
	Manifest artifact.Manifest
	Digest   artifact.Digest // the manifest's
	Dir      string          // holds wordpress.tar.zst, sbom.cdx.json and manifest.json
	Forgot   error           // why nothing was remembered in the cache; the artifact is whole
}

// How often a tree is read before it is refused for not holding still.
const maxReads = 3

// Build makes the artifact of a tree. The same tree gives the same bytes on
// every machine. Out may lie inside the tree; it is left out then. An earlier
// build of the version in Out is replaced; on failure nothing new is left.
//
// With a Cache the same artifact is made with less work: files are not read
// whose stamp the kernel has not changed since an earlier build read them, and
// frames are taken from its artifact. A cache that is missing, damaged or of
// another wpbake is ignored. Who can write to it decides what is built.
//
// Errors are *TreeError, *TreeChanged or those of the file systems.
func Build(ctx context.Context, o Options) (Built, error) {
	b, err := newBuilder(o)
	if err != nil {
		return Built{}, err
	}
	defer b.close()
	return b.run(ctx)
}

type builder struct {
	Options
	root    tree.Dir
	exclude tree.Excludes
	cache   *cache // nil remembers nothing
	now     func() time.Time
}

func newBuilder(o Options) (*builder, error) {
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
	return &builder{Options: o, root: root, exclude: exclude, cache: newCache(o, at), now: time.Now}, nil
}

func (b *builder) close() { b.root.Close() }

// excludeOut leaves the output out when it lies in the tree, or every build
// would hold the ones before it. A directory that holds anything else is part
// of the tree and is refused: leaving it out would ship half a tree.
func excludeOut(patterns []string, root, out string) ([]string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(out); err == nil {
		out = real
	}
	rel, err := filepath.Rel(root, out)
	switch {
	case err != nil || !filepath.IsLocal(rel):
		return patterns, nil
	case rel == "." || holdsMore(out):
		return nil, &OutInTree{Out: out}
	}
	return append(slices.Clone(patterns), "/"+tree.Literal(filepath.ToSlash(rel))), nil
}

// holdsMore reports whether a directory holds more than builds.
func holdsMore(out string) bool {
	entries, err := os.ReadDir(out)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "releases" })
}

// run makes the output directory, and removes it again on failure.
func (b *builder) run(ctx context.Context) (Built, error) {
	made, err := scratch.MakeDirs(filepath.Join(b.Out, "releases"))
	if err != nil {
		return Built{}, fmt.Errorf("making output directory: %w", err)
	}
	dir := filepath.Join(b.Out, "releases", string(b.Version))
	m, forgot, err := b.build(ctx, &folder{dir: dir})
	if err != nil {
		scratch.RemoveEmpty(made)
		return Built{}, err
	}
	return Built{Manifest: m, Digest: m.Digest(), Dir: dir, Forgot: forgot}, nil
}

// build reads the tree until it held still once. What it could not remember is
// the first error.
func (b *builder) build(ctx context.Context, to sink) (m artifact.Manifest, forgot, err error) {
	then := b.cache.load()
	defer then.close()
	var changed *tree.Vanished
	for range maxReads {
		m, forgot, err := b.attempt(ctx, then, to)
		if errors.Is(err, fetch.ErrPrevious) {
			then.earlier = nil
			m, forgot, err = b.attempt(ctx, then, to)
		}
		if !errors.As(err, &changed) {
			return m, forgot, err
		}
	}
	return artifact.Manifest{}, nil, &tree.Unsteady{Path: changed.Path, Reason: changed.Reason, Reads: maxReads}
}

func (b *builder) attempt(ctx context.Context, then *remembered, to sink) (m artifact.Manifest, forgot, err error) {
	found, err := tree.Scan(ctx, b.root, b.exclude, b.lastScan(then))
	if err != nil {
		return m, nil, err
	}
	if b.unchanged(found, then) {
		if there, err := to.holds(ctx, then); there || err != nil {
			return then.manifest, nil, err
		}
	}
	if err := tree.Settle(ctx, found); err != nil {
		return m, nil, err
	}
	p := b.packer(found, then)
	d, err := b.describe(ctx, then, found, p.known[p.offset(found.Entries):])
	if err != nil {
		return m, nil, err
	}
	draft, err := to.begin(ctx)
	if err != nil {
		return m, nil, err
	}
	defer draft.discard()
	if m, err = b.write(ctx, draft, p, d); err != nil {
		return m, nil, err
	}
	again := b.now()
	if found, err = b.seenAgain(ctx, found); err != nil {
		return m, nil, err
	}
	if _, err := artifact.ParseManifest(m.Marshal()); err != nil {
		return m, nil, err
	}
	if err := draft.commit(ctx, m, d.SBOM); err != nil {
		return m, nil, err
	}
	now := b.newRemembered(found, p.index, m, again)
	now.notes = d.kept()
	return m, b.cache.save(draft, now), nil
}

// lastScan is what is remembered of a walk by the same exclusions.
func (b *builder) lastScan(then *remembered) *tree.Listing {
	if !tree.StampsTell || then.exclude != strings.Join(b.Exclude, "\n") {
		return nil
	}
	return &then.tree
}

// unchanged tells whether what is remembered is what would be built again. One
// scan is enough to know: each entry was, when it was looked at, still as it
// was remembered, so all of them were when the scan began.
func (b *builder) unchanged(t tree.Listing, then *remembered) bool {
	return tree.StampsTell && then.exclude == strings.Join(b.Exclude, "\n") && then.describer == b.describer() &&
		then.manifest.Version == b.Version && t.Same(&then.tree)
}

// seenAgain demands that the tree is still as it was scanned.
func (b *builder) seenAgain(ctx context.Context, before tree.Listing) (tree.Listing, error) {
	if before.Still(ctx, b.root) == nil {
		return before, nil
	}
	// What was left out may have changed its directory; a scan tells.
	after, err := tree.Scan(ctx, b.root, b.exclude, nil)
	if err != nil {
		return before, err
	}
	if diff := tree.Compare(before.Entries, after.Entries); diff != nil {
		return before, diff
	}
	return after, nil
}

// packer prepares to pack a tree, with what is known of it already.
func (b *builder) packer(t tree.Listing, then *remembered) *packer {
	list := t.Entries
	entries := make([]artifact.Member, len(list))
	for i := range list {
		entries[i] = list[i].Member
	}
	known := then.recall(list, entries)
	p := &packer{members: artifact.MembersOf(b.Prefix, entries), root: b.root, earlier: then.earlier, then: &then.manifest, free: make(chan []byte, 4*workers())}
	p.known = make([]bool, len(p.members))
	offset := p.offset(list)
	for i := range p.known {
		p.known[i] = p.members[i].Kind != artifact.KindFile
	}
	copy(p.known[offset:], known)
	p.index = &artifact.Index{Encoder: encoderName, Planner: plannerName(), Members: p.members}
	p.read = func(t *tree.Reader, i int, use func(content) error) error {
		f, err := t.Open(&list[i-offset])
		if err != nil {
			return err
		}
		defer f.Close()
		return use(f)
	}
	return p
}

// offset is the number of the tree's first member.
func (p *packer) offset(list []tree.Entry) int { return len(p.members) - 2 - len(list) }

// write writes the artifact and returns its manifest.
func (b *builder) write(ctx context.Context, to io.Writer, p *packer, d Description) (artifact.Manifest, error) {
	blob := sha256.New()
	p.out = io.MultiWriter(to, blob)
	m, err := b.stream(ctx, p)
	if err != nil {
		return artifact.Manifest{}, err
	}
	m.Artifact.Digest = artifact.DigestFromSum(blob.Sum(nil))
	m.Artifact.Size = m.Index.Offset + m.Index.Size + m.Artifact.Size
	m.SBOM, m.WordPress = sbomBlob(d.SBOM), d.WordPress
	return m, nil
}

// stream writes the artifact; of the manifest it leaves the blob's digest to
// its caller, and in the blob's size what follows the index.
func (b *builder) stream(ctx context.Context, p *packer) (artifact.Manifest, error) {
	enc, err := newEncoder(workers())
	if err != nil {
		return artifact.Manifest{}, err
	}
	defer enc.Close()
	p.enc = enc
	if err := b.frames(ctx, p); err != nil {
		return artifact.Manifest{}, err
	}
	x := p.index
	indexFrame := artifact.PackIndex(enc, x)
	seek := artifact.SeekTable(x.Frames, int64(len(indexFrame)))
	for _, part := range [][]byte{indexFrame, seek} {
		if _, err := p.out.Write(part); err != nil {
			return artifact.Manifest{}, fmt.Errorf("writing artifact: %w", err)
		}
	}
	list := x.Members[len(x.Members)-1]
	tree := artifact.DescribeTree(b.Prefix, artifact.TreeMembers(x.Members), artifact.DigestFromSum(list.Sum[:]))
	image, err := p.image(tree.Digest)
	if err != nil {
		return artifact.Manifest{}, err
	}
	return artifact.Manifest{
		Format:   artifact.Format,
		Version:  b.Version,
		Artifact: artifact.Blob{Size: int64(len(seek))},
		Index:    artifact.Part{Digest: artifact.DigestOf(indexFrame), Offset: x.StoredSize(), Size: int64(len(indexFrame))},
		Tree:     tree,
		Image:    image,
	}, nil
}

// image describes the image, anew unless the last build's tree had the same.
func (p *packer) image(tree artifact.Digest) (artifact.Blob, error) {
	if p.then.Tree.Digest == tree && p.then.Tree.List == artifact.DigestFromSum(p.members[len(p.members)-1].Sum[:]) {
		return p.then.Image, nil
	}
	return imagefs.Describe(tree, p.members)
}

// frames writes all frames: the tree's, then those of the file list, which
// needs all sums, then the end of the tar.
func (b *builder) frames(ctx context.Context, p *packer) error {
	sections, err := planSections(p.members)
	if err != nil {
		return err
	}
	total := int64(artifact.TrailerSize)
	meta := len(sections) // the first section of our metadata
	for i, s := range sections {
		total += s.Plain
		if s.First >= len(p.members)-2 {
			meta = min(meta, i)
		}
	}
	p.progress = artifact.NewCounter(b.Progress, "building", total)
	if err := p.pack(ctx, sections[:meta]); err != nil {
		return err
	}
	list := artifact.FileList(artifact.TreeMembers(p.members))
	p.read = func(_ *tree.Reader, _ int, use func(content) error) error { return use(memory(list)) }
	if err := p.pack(ctx, sections[meta:]); err != nil {
		return err
	}
	return p.end()
}

// end writes the frame that ends the tar.
func (p *packer) end() error {
	emit := &emitter{packer: p, Section: artifact.Section{Plain: artifact.TrailerSize}, send: p.put}
	if err := emit.frame(make([]byte, artifact.TrailerSize)); err != nil {
		return err
	}
	p.progress.Add(artifact.TrailerSize)
	return nil
}

// memory is a member's content that is in memory.
type memory []byte

func (m memory) ReadFull(b []byte) error { copy(b, m); return nil }

func (m memory) ReadTo(_ context.Context, w io.Writer) error { _, err := w.Write(m); return err }
