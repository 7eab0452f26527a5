package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/artifact/tree"
)

// packer prepares to pack what a release holds, with what is known of it already.
func (b *Builder) packer(laid tree.Listing) *packer {
	list := laid.Entries
	entries := make([]artifact.Member, len(list))
	for i := range list {
		entries[i] = list[i].Member
	}
	known := b.last.recall(list, entries)
	p := &packer{
		members: artifact.MembersOf(b.Prefix, entries), root: b.root,
		previous: b.last.previous, last: &b.last.manifest, free: make(chan []byte, 4*workers()),
	}
	p.known = make([]bool, len(p.members))
	offset := p.offset(list)
	for i := range p.known {
		p.known[i] = p.members[i].Kind != artifact.KindFile
	}
	copy(p.known[offset:], known)
	p.index = &artifact.Index{Encoder: encoderName, Planner: plannerName(), Members: p.members}
	p.read = func(ctx context.Context, files *tree.Reader, i int, use func(content) error) error {
		f, err := files.Open(ctx, &list[i-offset])
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
func (b *Builder) write(ctx context.Context, to io.Writer, p *packer, d Description) (artifact.Manifest, error) {
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
func (b *Builder) stream(ctx context.Context, p *packer) (artifact.Manifest, error) {
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
	if p.last.Tree.Digest == tree && p.last.Tree.List == artifact.DigestFromSum(p.members[len(p.members)-1].Sum[:]) {
		return p.last.Image, nil
	}
	return imagefs.Describe(tree, p.members)
}

// frames writes all frames: the tree's, then those of the file list, which
// needs all sums, then the end of the tar.
func (b *Builder) frames(ctx context.Context, p *packer) error {
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
	p.read = func(_ context.Context, _ *tree.Reader, _ int, use func(content) error) error {
		return use(memory(list))
	}
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
