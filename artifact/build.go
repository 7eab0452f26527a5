package artifact

import (
	"bytes"
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
)

// BuildOptions says what to build. Tree, Out and Version are required.
type BuildOptions struct {
	Tree      string // the WordPress directory; a link is resolved once
	Out       string // written below: releases/VERSION/, as in a store
	Version   Version
	WordPress *WordPress // what package wordpress found; nil leaves it out
	SBOM      []byte     // the bill of materials, as package wordpress writes it; empty leaves it out
	Prefix    string     // directory that holds the tree in the artifact; empty is "wordpress"
	Exclude   []string   // patterns of what to leave out; nil is DefaultExclude
	Cache     string     // directory to remember builds in; empty remembers nothing
	CacheName string     // what the cache knows the tree by; empty is its path
	Progress  func(Progress)
}

// Built is an artifact on disk.
type Built struct {
	Manifest Manifest
	Digest   Digest // the manifest's
	Dir      string // holds wordpress.tar.zst, sbom.cdx.json and manifest.json
	Forgot   error  // why nothing was remembered in the cache; the artifact is whole
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
func Build(ctx context.Context, o BuildOptions) (Built, error) {
	b, err := newBuilder(o)
	if err != nil {
		return Built{}, err
	}
	defer b.root.Close()
	return b.run(ctx)
}

type builder struct {
	BuildOptions
	root    *os.Root
	exclude excluder
	cache   *cache // nil remembers nothing
	now     func() time.Time
}

func newBuilder(o BuildOptions) (*builder, error) {
	if _, err := ParseVersion(string(o.Version)); err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = "wordpress"
	}
	if err := errors.Join(checkPrefix(o.Prefix), o.WordPress.validate()); err != nil {
		return nil, err
	}
	if o.Exclude == nil {
		o.Exclude = DefaultExclude()
	}
	exclude, err := newExcluder(o.Exclude)
	if err != nil {
		return nil, err
	}
	tree, err := filepath.EvalSymlinks(o.Tree)
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	if exclude, err = excludeOut(exclude, tree, o.Out); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	return &builder{BuildOptions: o, root: root, exclude: exclude, cache: newCache(o, tree), now: time.Now}, nil
}

// excludeOut leaves the output out when it lies in the tree, or every build
// would hold the ones before it. A directory that holds anything else is part
// of the tree and is refused: leaving it out would ship half a tree.
func excludeOut(x excluder, tree, out string) (excluder, error) {
	tree, err := filepath.Abs(tree)
	if err != nil {
		return nil, err
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(out); err == nil {
		out = real
	}
	rel, err := filepath.Rel(tree, out)
	switch {
	case err != nil || !filepath.IsLocal(rel):
		return x, nil
	case rel == "." || holdsMore(out):
		return nil, &OutInTree{Out: out}
	}
	return append(x, strings.Split("/"+literal(filepath.ToSlash(rel)), "/")), nil
}

// holdsMore reports whether a directory holds more than builds.
func holdsMore(out string) bool {
	entries, err := os.ReadDir(out)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "releases" })
}

// run makes the output directory, and removes it again on failure.
func (b *builder) run(ctx context.Context) (Built, error) {
	made, err := makeDirs(filepath.Join(b.Out, "releases"))
	if err != nil {
		return Built{}, fmt.Errorf("making output directory: %w", err)
	}
	built, err := b.build(ctx)
	if err != nil {
		removeEmpty(made)
	}
	return built, err
}

// build reads the tree until it held still once.
func (b *builder) build(ctx context.Context) (Built, error) {
	then := b.cache.load()
	defer then.close()
	var changed *errVanished
	for range maxReads {
		built, err := b.attempt(ctx, then)
		if errors.Is(err, errEarlier) {
			then.earlier = nil
			built, err = b.attempt(ctx, then)
		}
		if !errors.As(err, &changed) {
			return built, err
		}
	}
	return Built{}, &TreeChanged{Path: changed.path, Reason: changed.reason, Reads: maxReads}
}

func (b *builder) attempt(ctx context.Context, then *remembered) (Built, error) {
	tree, err := scan(ctx, b.root, b.exclude)
	if err != nil {
		return Built{}, err
	}
	dir := filepath.Join(b.Out, "releases", string(b.Version))
	if m, ok := b.stands(dir, tree, then); ok {
		return Built{Manifest: m, Digest: m.Digest(), Dir: dir}, nil
	}
	if err := settle(ctx, tree); err != nil {
		return Built{}, err
	}
	staging, err := os.MkdirTemp(filepath.Join(b.Out, "releases"), ".wpbake-build-*")
	if err != nil {
		return Built{}, fmt.Errorf("making output directory: %w", err)
	}
	defer os.RemoveAll(staging)
	m, x, err := b.write(ctx, filepath.Join(staging, artifactName), b.packer(tree, then))
	if err != nil {
		return Built{}, err
	}
	again := b.now()
	after, err := scan(ctx, b.root, b.exclude)
	if err != nil {
		return Built{}, err
	}
	if diff := sameTree(tree, after); diff != nil {
		return Built{}, diff
	}
	if _, err := ParseManifest(m.Marshal()); err != nil {
		return Built{}, err
	}
	if err := writeDocuments(staging, m, b.SBOM); err != nil {
		return Built{}, err
	}
	if err := moveRelease(staging, dir); err != nil {
		return Built{}, err
	}
	forgot := b.cache.save(dir, newRemembered(tree, x, m, again))
	return Built{Manifest: m, Digest: m.Digest(), Dir: dir, Forgot: forgot}, nil
}

// stands tells whether dir already holds what would be built, untouched since
// it was built from a tree that has not changed. One walk is enough to know:
// each entry was, when the walk met it, still as it was remembered, so all of
// them were when it began.
func (b *builder) stands(dir string, tree []found, then *remembered) (Manifest, bool) {
	m := then.manifest
	m.Version, m.WordPress, m.SBOM = b.Version, b.WordPress, sbomBlob(b.SBOM)
	if !then.same(tree) || !standsSBOM(dir, m) {
		return m, false
	}
	info, err := os.Lstat(filepath.Join(dir, artifactName))
	if err != nil || stampOf(info) != then.artifact {
		return m, false
	}
	return m, holds(filepath.Join(dir, manifestName), m.Marshal()) &&
		(m.SBOM == nil || holds(filepath.Join(dir, sbomName), b.SBOM))
}

func holds(name string, want []byte) bool {
	have, err := os.ReadFile(name)
	return err == nil && bytes.Equal(have, want)
}

// packer prepares to pack a tree, with what is known of it already.
func (b *builder) packer(tree []found, then *remembered) *packer {
	entries := make([]entry, len(tree))
	for i := range tree {
		entries[i] = tree[i].entry
	}
	known := then.recall(tree, entries)
	p := &packer{members: membersOf(b.Prefix, entries), root: b.root, earlier: then.earlier, free: make(chan []byte, 4*workers())}
	p.known = make([]bool, len(p.members))
	offset := p.offset(tree)
	for i := range p.known {
		p.known[i] = p.members[i].kind != kindFile
	}
	copy(p.known[offset:], known)
	p.index = &index{encoder: encoderName, planner: plannerName(), entries: p.members}
	p.read = func(t *treeReader, i int, use func(content) error) error {
		f, err := t.open(&tree[i-offset])
		if err != nil {
			return err
		}
		defer f.Close()
		return use(f)
	}
	return p
}

// offset is the number of the tree's first member.
func (p *packer) offset(tree []found) int { return len(p.members) - 2 - len(tree) }

// write writes the artifact to a file and returns its manifest and index.
func (b *builder) write(ctx context.Context, name string, p *packer) (Manifest, *index, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("writing artifact: %w", err)
	}
	defer f.Close()
	blob := sha256.New()
	p.out = io.MultiWriter(f, blob)
	m, err := b.stream(ctx, p)
	if err != nil {
		return Manifest{}, nil, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Manifest{}, nil, fmt.Errorf("writing artifact: %w", err)
	}
	m.Artifact.Digest = DigestFromSum(blob.Sum(nil))
	m.Artifact.Size = m.Index.Offset + m.Index.Size + m.Artifact.Size
	return m, p.index, nil
}

// stream writes the artifact; of the manifest it leaves the blob's digest to
// its caller, and in the blob's size what follows the index.
func (b *builder) stream(ctx context.Context, p *packer) (Manifest, error) {
	enc, err := newEncoder(workers())
	if err != nil {
		return Manifest{}, err
	}
	defer enc.Close()
	p.enc = enc
	if err := b.frames(ctx, p); err != nil {
		return Manifest{}, err
	}
	x := p.index
	indexFrame := packIndex(enc, x)
	seek := seekTable(x.frames, int64(len(indexFrame)))
	for _, part := range [][]byte{indexFrame, seek} {
		if _, err := p.out.Write(part); err != nil {
			return Manifest{}, fmt.Errorf("writing artifact: %w", err)
		}
	}
	list := x.entries[len(x.entries)-1]
	return Manifest{
		Format:    Format,
		Version:   b.Version,
		Artifact:  Blob{Size: int64(len(seek))},
		Index:     Section{Digest: DigestOf(indexFrame), Offset: x.layout(), Size: int64(len(indexFrame))},
		Tree:      describeTree(b.Prefix, treeMembers(x.entries), DigestFromSum(list.sum[:])),
		SBOM:      sbomBlob(b.SBOM),
		WordPress: b.WordPress,
	}, nil
}

func describeTree(prefix string, entries []entry, list Digest) Tree {
	t := Tree{Digest: treeDigest(entries), List: list, Prefix: prefix}
	for i := range entries {
		if entries[i].kind == kindFile {
			t.Files++
			t.Bytes += entries[i].size
		}
	}
	return t
}

// frames writes all frames: the tree's, then those of the file list, which
// needs all sums, then the end of the tar.
func (b *builder) frames(ctx context.Context, p *packer) error {
	sections, err := planSections(p.members)
	if err != nil {
		return err
	}
	total := int64(trailerSize)
	meta := len(sections) // the first section of our metadata
	for i, s := range sections {
		total += s.plain
		if s.first >= len(p.members)-2 {
			meta = min(meta, i)
		}
	}
	p.progress = newCounter(b.Progress, "building", total)
	if err := p.pack(ctx, sections[:meta]); err != nil {
		return err
	}
	list := fileList(treeMembers(p.members))
	p.read = func(_ *treeReader, _ int, use func(content) error) error { return use(memory(list)) }
	if err := p.pack(ctx, sections[meta:]); err != nil {
		return err
	}
	return p.end()
}

// end writes the frame that ends the tar.
func (p *packer) end() error {
	emit := &emitter{packer: p, section: section{plain: trailerSize}, send: p.put}
	if err := emit.frame(make([]byte, trailerSize)); err != nil {
		return err
	}
	p.progress.add(trailerSize)
	return nil
}

// memory is a member's content that is in memory.
type memory []byte

func (m memory) readFull(b []byte) error { copy(b, m); return nil }

func (m memory) readTo(_ context.Context, w io.Writer) error { _, err := w.Write(m); return err }
