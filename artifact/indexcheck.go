package artifact

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// check refuses an index that contradicts itself or names what no tree may
// hold. A signer may be wrong too, and a node writes what the index says.
func (x *Index) check(prefix string) error {
	if len(x.Members) > MaxEntries+MaxDepth || len(x.Members) < len(MembersOf(prefix, nil)) {
		return fmt.Errorf("%w: it has %d entries", ErrIndex, len(x.Members))
	}
	for i := range x.Frames {
		if f := &x.Frames[i]; f.Plain < 1 || f.Plain > maxFrame || f.Stored < 1 || f.Stored > 2*maxFrame {
			return fmt.Errorf("%w: frame %d has %d bytes in %d", ErrIndex, i, f.Plain, f.Stored)
		}
	}
	if err := x.checkMembers(prefix); err != nil {
		return err
	}
	_, err := x.Sections()
	return err
}

func (x *Index) checkMembers(prefix string) error {
	outer := MembersOf(prefix, nil)
	outer = outer[:len(outer)-2] // directories down to the prefix
	for i, want := range outer {
		if x.Members[i] != want {
			return fmt.Errorf("%w: entry %q stands where %q must", ErrIndex, x.Members[i].Path, want.Path)
		}
	}
	all := TreeMembers(x.Members)
	if err := checkTree(prefix, all[len(outer):]); err != nil {
		return err
	}
	last := x.Members[len(all):]
	if last[0] != (Member{Path: MetaDir, Kind: KindDir}) ||
		last[1] != (Member{Path: ListPath, Kind: KindFile, Size: fileListSize(all)}) {
		return fmt.Errorf("%w: it does not end with the file list", ErrIndex)
	}
	return nil
}

// checkTree holds entries below the prefix to the rules of a tree. It keeps
// what it knows of the directories it stands in and forgets it after them: an
// index may be long.
func checkTree(prefix string, entries []Member) error {
	within := []level{newLevel(prefix)}
	bytes := int64(0)
	for i := range entries {
		e := &entries[i]
		p, below := strings.CutPrefix(e.Path, prefix+"/")
		if reason := BadPath(p); !below || reason != "" {
			return fmt.Errorf("%w: entry %q %s", ErrIndex, e.Path, reason)
		}
		if i > 0 && ComparePaths(entries[i-1].Path, e.Path) >= 0 {
			return fmt.Errorf("%w: entry %q is out of order", ErrIndex, e.Path)
		}
		dir := path.Dir(e.Path)
		for len(within) > 1 && within[len(within)-1].path != dir {
			within = within[:len(within)-1]
		}
		in := within[len(within)-1]
		if in.path != dir {
			return fmt.Errorf("%w: entry %q has no directory", ErrIndex, e.Path)
		}
		if in.names.Add(path.Base(p)) != "" {
			return fmt.Errorf("%w: entry %q collides with another", ErrIndex, e.Path)
		}
		if bytes += e.Size; e.Size > MaxBytes || bytes > MaxBytes {
			return fmt.Errorf("%w: entry %q is too large", ErrIndex, e.Path)
		}
		if e.Kind == KindDir {
			within = append(within, newLevel(e.Path))
		}
	}
	return checkLinks(prefix, entries)
}

// level is a directory whose entries are being met. Paths collide where two
// names of one directory do.
type level struct {
	path  string
	names *Collisions
}

func newLevel(path string) level { return level{path, NewCollisions()} }

func checkLinks(prefix string, entries []Member) error {
	at := func(p string) (Member, bool) {
		i, ok := slices.BinarySearchFunc(entries, prefix+"/"+p, func(e Member, p string) int { return ComparePaths(e.Path, p) })
		if !ok {
			return Member{}, false
		}
		return entries[i], true
	}
	for i := range entries {
		e := &entries[i]
		if e.Kind != KindLink {
			continue
		}
		if bad := CheckLink(strings.TrimPrefix(e.Path, prefix+"/"), e.Target, at); bad != nil {
			return fmt.Errorf("%w: entry %q %s (%s)", ErrIndex, e.Path, bad.Reason, bad.Rule)
		}
	}
	return nil
}

// Extent is a section and the frames it fills.
type Extent struct {
	Section
	Frame, Frames int   // number of its first frame, and how many
	Offset        int64 // of its first frame in the artifact
	Stored        int64
}

// Sections groups entries by the frames they start in, and checks that frames
// and entries account for each other to the byte. The last frame is the tar's
// end and holds no entry.
func (x *Index) Sections() ([]Extent, error) {
	var all []Extent
	next, offset := 0, int64(0) // first frame not yet accounted for
	for i := 0; i < len(x.Members); {
		p := Extent{Section: Section{First: i}, Frame: next, Offset: offset}
		for ; i < len(x.Members) && x.Starts[i] == p.Frame; i++ {
			size, err := TarSize(&x.Members[i])
			if err != nil {
				return nil, fmt.Errorf("%w: %v", ErrIndex, err)
			}
			p.Plain += size
		}
		p.Last = i
		for left := p.Plain; left > 0 && next < len(x.Frames); next++ {
			left -= x.Frames[next].Plain
			p.Stored += x.Frames[next].Stored
		}
		p.Frames = next - p.Frame
		if p.Last == p.First || x.plainOf(p) != p.Plain {
			return nil, fmt.Errorf("%w: frame %d does not hold what it should", ErrIndex, p.Frame)
		}
		offset += p.Stored
		all = append(all, p)
	}
	if next != len(x.Frames)-1 || x.Frames[next].Plain != TrailerSize {
		return nil, fmt.Errorf("%w: it does not end with the end of a tar", ErrIndex)
	}
	return all, nil
}

func (x *Index) plainOf(p Extent) (n int64) {
	for _, f := range x.Frames[p.Frame : p.Frame+p.Frames] {
		n += f.Plain
	}
	return n
}

// All are the sections, and at last one without entries: the frame that ends
// the tar.
func (x *Index) All() ([]Extent, error) {
	all, err := x.Sections()
	if err != nil {
		return nil, err
	}
	n := len(x.Frames) - 1
	return append(all, Extent{
		Section: Section{First: len(x.Members), Last: len(x.Members), Plain: TrailerSize},
		Frame:   n, Frames: 1, Offset: x.StoredSize() - x.Frames[n].Stored, Stored: x.Frames[n].Stored,
	}), nil
}
