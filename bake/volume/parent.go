package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/internal/owner"
)

// Reader reads completed snapshots, as the EBS direct APIs do.
type Reader interface {
	// Read returns a block; zeros for one that was never written.
	Read(ctx context.Context, id string, index int32) ([]byte, error)
}

// parent is the snapshot of an earlier release, whose blocks a new one inherits.
type parent struct {
	Snapshot
	content   *content
	placement imagefs.Layout
}

// findParent looks for the completed snapshot of the parent version. Without
// one, or with one that cannot be inherited from, the release gets a snapshot
// of its own, which is told.
func (b *baker) findParent(ctx context.Context) (*parent, error) {
	if b.Parent == "" {
		return nil, nil
	}
	m, digest, err := artifact.Find(ctx, b.Store, b.Parent)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{owner.TagManifest: string(digest), owner.TagStore: b.Owner.Store}
	all, err := b.Snapshots.Find(ctx, "", tags)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(s Snapshot) bool { return s.State == Completed && (s.Encrypted || !b.Encrypted) })
	if i < 0 {
		b.Note(fmt.Sprintf("writing all blocks: release %s has no snapshot to inherit from", b.Parent))
		return nil, nil
	}
	p := &parent{Snapshot: all[i], content: &content{read: func(index int32) ([]byte, error) {
		return b.Reader.Read(ctx, all[i].ID, index)
	}}}
	if p.placement, err = fetch.ReadLayout(ctx, b.Store, m, p.content); err != nil {
		return nil, fmt.Errorf("reading snapshot %q of release %s: %w", p.ID, b.Parent, err)
	}
	return p, nil
}

// changed lists the blocks of an image that its parent does not have as they
// are. What no file reaches may stay as it was in the parent.
func (p *parent) changed(image io.ReaderAt, now imagefs.Layout) (map[int32]bool, error) {
	blocks := map[int32]bool{}
	// Of a long file that stayed in its place, such as the list of all files,
	// mostly a part has changed: there it is worth the reading.
	compared := []imagefs.Extent{{Size: now.Metadata}}
	for path, f := range now.Files {
		old, ok := p.placement.Files[path]
		switch {
		case ok && old == f:
		case ok && old.Offset == f.Offset && f.Size > BlockSize:
			compared = append(compared, f)
		default:
			for i := f.Offset / BlockSize; i*BlockSize < f.Offset+f.Size; i++ {
				blocks[int32(i)] = true
			}
		}
	}
	for _, f := range compared {
		if err := p.compare(image, f, blocks); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// compare adds those blocks of a part of the image that differ in it.
func (p *parent) compare(image io.ReaderAt, part imagefs.Extent, blocks map[int32]bool) error {
	mine, theirs := make([]byte, BlockSize), make([]byte, BlockSize)
	end := (part.Offset + part.Size + erofs.BlockSize - 1) / erofs.BlockSize * erofs.BlockSize // zeros follow a file
	for at := part.Offset; at < end; {
		next := min(end, (at/BlockSize+1)*BlockSize)
		n := next - at
		if _, err := image.ReadAt(mine[:n], at); err != nil {
			return fmt.Errorf("reading image: %w", err)
		}
		if _, err := p.content.ReadAt(theirs[:n], at); err != nil {
			return err
		}
		if !bytes.Equal(mine[:n], theirs[:n]) {
			blocks[int32(at/BlockSize)] = true
		}
		at = next
	}
	return nil
}

// content is a snapshot from its first byte on, read by blocks as they are
// needed.
type content struct {
	read  func(index int32) ([]byte, error)
	index int32
	block []byte // at index; nil before the first
}

// ReadAt implements io.ReaderAt, for one goroutine.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("reading before a snapshot's beginning")
	}
	done := 0
	for done < len(p) {
		index := int32((off + int64(done)) / BlockSize)
		if c.block == nil || c.index != index {
			block, err := c.read(index)
			if err != nil {
				return done, err
			}
			c.index, c.block = index, block
		}
		done += copy(p[done:], c.block[(off+int64(done))%BlockSize:])
	}
	return done, nil
}
