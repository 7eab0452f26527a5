package fetch

import (
	"fmt"
	"io"
	"os"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
	"github.com/wpbake/wpbake/artifact/imagefs"
)

// imageFile is a release as an image: one file, laid out before anything is known
// but the index, filled in any order, with its metadata at last.
type imageFile struct {
	*stagingDir
	m       artifact.Manifest
	after   *imagefs.Layout // nil when it stands for itself
	made    artifact.Blob   // once it is finished
	file    *os.File
	layout  *erofs.Layout
	entries []artifact.Member
	zeros   [erofs.BlockSize]byte
}

func (g *imageFile) open(x *artifact.Index) error {
	if err := g.begin(); err != nil {
		return err
	}
	var err error
	g.entries = x.Members
	if g.layout, err = imagefs.Lay(x.Members, g.after); err != nil {
		return err
	}
	if got := g.layout.Size(); g.after == nil && got != g.m.Image.Size {
		return artifact.Damagef(artifact.ReleasePrefix(g.m.Version)+artifact.ManifestName, "its image has %d bytes, what the index lists takes %d", g.m.Image.Size, got)
	}
	if g.file, err = g.parent.OpenFile(g.name+partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	if err := reserve(g.file, g.layout.Size()); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	return nil
}

func (g *imageFile) sink() sink { return &imageSink{imageFile: g} }

// finish writes the metadata, all of whose bytes follow from entries that were
// compared with the manifest by now. Nothing is read back.
func (g *imageFile) finish(*unpacker) error {
	meta, err := imagefs.WriteMetadata(g.layout, g.m.Tree.Digest, io.NewOffsetWriter(g.file, 0))
	if err != nil {
		return err
	}
	g.made = g.m.Image
	if g.after != nil {
		g.made = imagefs.Blob(g.layout, meta, g.entries)
	}
	return nil
}

func (g *imageFile) sync() error {
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	return nil
}

func (g *imageFile) commit() error { return g.stagingDir.commit(g.file) }

func (g *imageFile) close() {
	if g.file != nil {
		g.file.Close()
	}
}

// imageSink collects pieces that stand next to each other in the image and
// writes them by one call, the zeros between files among them.
type imageSink struct {
	*imageFile
	pieces [][]byte
	offset int64 // of the first piece
	size   int64 // of all pieces
}

// maxPieces is what one call takes.
const maxPieces = 1000

func (k *imageSink) write(i int, off int64, p []byte) error {
	at := k.layout.Offset(i) + off
	if at != k.offset+k.size || len(k.pieces) >= maxPieces {
		if err := k.flush(); err != nil {
			return err
		}
		k.offset = at
	}
	k.add(p)
	return nil
}

func (k *imageSink) add(p []byte) {
	if len(p) > 0 {
		k.pieces, k.size = append(k.pieces, p), k.size+int64(len(p))
	}
}

// end fills the last block.
func (k *imageSink) end(i int) error {
	k.add(k.zeros[:-k.entries[i].Size&(erofs.BlockSize-1)])
	return nil
}

func (k *imageSink) flush() error {
	if len(k.pieces) == 0 {
		return nil
	}
	if err := writeAll(k.file, k.pieces, k.offset); err != nil {
		return fmt.Errorf("writing image: %w", err)
	}
	clear(k.pieces)
	k.pieces, k.offset, k.size = k.pieces[:0], k.offset+k.size, 0
	return nil
}

func (k *imageSink) close() {}
