package artifact

import (
	"context"
	"io"

	"github.com/wpbake/wpbake/artifact/erofs"
)

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
