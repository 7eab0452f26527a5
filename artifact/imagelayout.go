package artifact

import "github.com/wpbake/wpbake/artifact/erofs"

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
