package fetch

import (
	"context"
	"io"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
	"github.com/wpbake/wpbake/artifact/imagefs"
)

// ReadLayout reads an image's own metadata; what the files are, and their
// digests, it takes from the store. Only the metadata of the image is read. It
// is *Damaged when the image is not of this release.
func ReadLayout(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, image io.ReaderAt) (imagefs.Layout, error) {
	x, err := summedIndex(ctx, store, m)
	if err != nil {
		return imagefs.Layout{}, err
	}
	size, err := erofs.ReadSize(image)
	if err != nil {
		return imagefs.Layout{}, artifact.Damagef("image", "%v", err)
	}
	metadata, extents, err := erofs.ReadLayout(image, size)
	if err != nil {
		return imagefs.Layout{}, artifact.Damagef("image", "%v", err)
	}
	p := imagefs.Layout{Metadata: metadata, Files: make(map[string]imagefs.Extent, len(extents))}
	for i := range x.Members {
		e := &x.Members[i]
		if e.Kind != artifact.KindFile || e.Size == 0 {
			continue
		}
		if len(extents) == 0 || extents[0].Size != e.Size {
			return imagefs.Layout{}, artifact.Damagef("image", "it is not of release %s: %q is not in it", m.Version, e.Path)
		}
		p.Files[e.Path] = imagefs.Extent{Offset: extents[0].Offset, Size: e.Size, Digest: artifact.DigestFromSum(e.Sum[:])}
		extents = extents[1:]
	}
	if len(extents) > 0 {
		return imagefs.Layout{}, artifact.Damagef("image", "it is not of release %s: it holds more files", m.Version)
	}
	return p, nil
}
