package imagefs

import (
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
)

// Layout is where the files of a release stand in an image of it, by path in
// the image.
type Layout struct {
	Metadata int64 // bytes before the first file
	Files    map[string]Extent
}

// Extent is a file in an image. One that is empty stands nowhere.
type Extent struct {
	Offset, Size int64
	Digest       artifact.Digest // of its content
}

// kept tells a layout where an entry stood.
func (p *Layout) kept(members []artifact.Member) func(int) (erofs.Extent, bool) {
	if p == nil {
		return nil
	}
	return func(i int) (erofs.Extent, bool) {
		f, ok := p.Files[members[i].Path]
		return erofs.Extent{Offset: f.Offset, Size: f.Size}, ok
	}
}
