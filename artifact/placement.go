package artifact

import (
	"context"
	"io"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// Placement is where the files of a release stand in an image of it, by path in
// the image.
type Placement struct {
	Metadata int64 // bytes before the first file
	Files    map[string]Placed
}

// Placed is a file in an image. One that is empty stands nowhere.
type Placed struct {
	Offset, Size int64
	Digest       Digest // of its content
}

// ReadPlacement reads an image's own metadata; what the files are, and their
// digests, it takes from the store. Only the metadata of the image is read. It
// is *Damaged when the image is not of this release.
func ReadPlacement(ctx context.Context, store ReleaseStore, m Manifest, image io.ReaderAt) (Placement, error) {
	x, err := summedIndex(ctx, store, m)
	if err != nil {
		return Placement{}, err
	}
	size, err := erofs.ReadSize(image)
	if err != nil {
		return Placement{}, damaged("image", "%v", err)
	}
	metadata, extents, err := erofs.ReadLayout(image, size)
	if err != nil {
		return Placement{}, damaged("image", "%v", err)
	}
	p := Placement{Metadata: metadata, Files: make(map[string]Placed, len(extents))}
	for i := range x.entries {
		e := &x.entries[i]
		if e.kind != kindFile || e.size == 0 {
			continue
		}
		if len(extents) == 0 || extents[0].Size != e.size {
			return Placement{}, damaged("image", "it is not of release %s: %q is not in it", m.Version, e.path)
		}
		p.Files[e.path] = Placed{Offset: extents[0].Offset, Size: e.size, Digest: DigestFromSum(e.sum[:])}
		extents = extents[1:]
	}
	if len(extents) > 0 {
		return Placement{}, damaged("image", "it is not of release %s: it holds more files", m.Version)
	}
	return p, nil
}

// kept tells a layout where an entry stood.
func (p *Placement) kept(members []entry) func(int) (erofs.Extent, bool) {
	if p == nil {
		return nil
	}
	return func(i int) (erofs.Extent, bool) {
		f, ok := p.Files[members[i].path]
		return erofs.Extent{Offset: f.Offset, Size: f.Size}, ok
	}
}
