package artifact

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// check refuses an index that contradicts itself or names what no tree may
// hold. A signer may be wrong too, and a node writes what the index says.
func (x *index) check(prefix string) error {
	if len(x.entries) > maxEntries+maxDepth || len(x.entries) < len(membersOf(prefix, nil)) {
		return fmt.Errorf("%w: it has %d entries", errIndex, len(x.entries))
	}
	for i := range x.frames {
		if f := &x.frames[i]; f.plain < 1 || f.plain > maxFrame || f.stored < 1 || f.stored > 2*maxFrame {
			return fmt.Errorf("%w: frame %d has %d bytes in %d", errIndex, i, f.plain, f.stored)
		}
	}
	if err := x.checkMembers(prefix); err != nil {
		return err
	}
	_, err := x.sections()
	return err
}

func (x *index) checkMembers(prefix string) error {
	outer := membersOf(prefix, nil)
	outer = outer[:len(outer)-2] // directories down to the prefix
	for i, want := range outer {
		if x.entries[i] != want {
			return fmt.Errorf("%w: entry %q stands where %q must", errIndex, x.entries[i].path, want.path)
		}
	}
	all := treeMembers(x.entries)
	if err := checkTree(prefix, all[len(outer):]); err != nil {
		return err
	}
	last := x.entries[len(all):]
	if last[0] != (entry{path: metaDir, kind: kindDir}) ||
		last[1] != (entry{path: listPath, kind: kindFile, size: fileListSize(all)}) {
		return fmt.Errorf("%w: it does not end with the file list", errIndex)
	}
	return nil
}

// checkTree holds entries below the prefix to the rules of a tree. It keeps
// what it knows of the directories it stands in and forgets it after them: an
// index may be long.
func checkTree(prefix string, entries []entry) error {
	within := []level{newLevel(prefix)}
	bytes := int64(0)
	for i := range entries {
		e := &entries[i]
		p, below := strings.CutPrefix(e.path, prefix+"/")
		if reason := badPath(p); !below || reason != "" {
			return fmt.Errorf("%w: entry %q %s", errIndex, e.path, reason)
		}
		if i > 0 && comparePaths(entries[i-1].path, e.path) >= 0 {
			return fmt.Errorf("%w: entry %q is out of order", errIndex, e.path)
		}
		dir := path.Dir(e.path)
		for len(within) > 1 && within[len(within)-1].path != dir {
			within = within[:len(within)-1]
		}
		in := within[len(within)-1]
		if in.path != dir {
			return fmt.Errorf("%w: entry %q has no directory", errIndex, e.path)
		}
		if in.names.add(path.Base(p)) != "" {
			return fmt.Errorf("%w: entry %q collides with another", errIndex, e.path)
		}
		if bytes += e.size; e.size > maxBytes || bytes > maxBytes {
			return fmt.Errorf("%w: entry %q is too large", errIndex, e.path)
		}
		if e.kind == kindDir {
			within = append(within, newLevel(e.path))
		}
	}
	return checkLinks(prefix, entries)
}

// level is a directory whose entries are being met. Paths collide where two
// names of one directory do.
type level struct {
	path  string
	names *collisions
}

func newLevel(path string) level { return level{path, newCollisions()} }

func checkLinks(prefix string, entries []entry) error {
	at := func(p string) (entry, bool) {
		i, ok := slices.BinarySearchFunc(entries, prefix+"/"+p, func(e entry, p string) int { return comparePaths(e.path, p) })
		if !ok {
			return entry{}, false
		}
		return entries[i], true
	}
	for i := range entries {
		e := &entries[i]
		if e.kind != kindLink {
			continue
		}
		if bad := checkLink(strings.TrimPrefix(e.path, prefix+"/"), e.target, at); bad != nil {
			return fmt.Errorf("%w: entry %q %s (%s)", errIndex, e.path, bad.reason, bad.rule)
		}
	}
	return nil
}

// placed is a section and the frames it fills.
type placed struct {
	section
	frame, frames int   // number of its first frame, and how many
	offset        int64 // of its first frame in the artifact
	stored        int64
}

// sections groups entries by the frames they start in, and checks that frames
// and entries account for each other to the byte. The last frame is the tar's
// end and holds no entry.
func (x *index) sections() ([]placed, error) {
	var all []placed
	next, offset := 0, int64(0) // first frame not yet accounted for
	for i := 0; i < len(x.entries); {
		p := placed{section: section{first: i}, frame: next, offset: offset}
		for ; i < len(x.entries) && x.starts[i] == p.frame; i++ {
			size, err := tarSize(&x.entries[i])
			if err != nil {
				return nil, fmt.Errorf("%w: %v", errIndex, err)
			}
			p.plain += size
		}
		p.last = i
		for left := p.plain; left > 0 && next < len(x.frames); next++ {
			left -= x.frames[next].plain
			p.stored += x.frames[next].stored
		}
		p.frames = next - p.frame
		if p.last == p.first || x.plainOf(p) != p.plain {
			return nil, fmt.Errorf("%w: frame %d does not hold what it should", errIndex, p.frame)
		}
		offset += p.stored
		all = append(all, p)
	}
	if next != len(x.frames)-1 || x.frames[next].plain != trailerSize {
		return nil, fmt.Errorf("%w: it does not end with the end of a tar", errIndex)
	}
	return all, nil
}

func (x *index) plainOf(p placed) (n int64) {
	for _, f := range x.frames[p.frame : p.frame+p.frames] {
		n += f.plain
	}
	return n
}

// all are the sections, and at last one without entries: the frame that ends
// the tar.
func (x *index) all() ([]placed, error) {
	all, err := x.sections()
	if err != nil {
		return nil, err
	}
	n := len(x.frames) - 1
	return append(all, placed{
		section: section{first: len(x.entries), last: len(x.entries), plain: trailerSize},
		frame:   n, frames: 1, offset: x.layout() - x.frames[n].stored, stored: x.frames[n].stored,
	}), nil
}
