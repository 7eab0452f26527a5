package tree

import (
	"iter"
	"path"

	"github.com/wpbake/wpbake/artifact"
)

// lastScan is an earlier scan of a tree, to look again at what it found. A nil
// one knows nothing.
type lastScan struct {
	Listing
	after []int               // of each entry: the next one that does not lie below it
	left  map[string][]string // what was left out, by directory; "" is the tree's own
}

// entryRange is where entries stand that lie below a directory. The zero value is
// nowhere.
type entryRange struct {
	dir      Stamp // the directory's
	from, to int
}

func newLastScan(t *Listing) *lastScan {
	if t == nil {
		return nil
	}
	s := &lastScan{Listing: *t, after: make([]int, len(t.Entries)), left: map[string][]string{}}
	for _, p := range t.Excluded {
		dir := path.Dir(p)
		if dir == "." {
			dir = ""
		}
		s.left[dir] = append(s.left[dir], p)
	}
	var above []int // directories that the entry lies below
	for i := range t.Entries {
		for len(above) > 0 && !below(t.Entries[above[len(above)-1]].Path, t.Entries[i].Path) {
			s.after[above[len(above)-1]] = i
			above = above[:len(above)-1]
		}
		s.after[i] = i + 1
		if t.Entries[i].Kind == artifact.KindDir {
			above = append(above, i)
		}
	}
	for _, i := range above {
		s.after[i] = len(t.Entries)
	}
	return s
}

// below reports whether a path lies below a directory.
func below(dir, p string) bool {
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// top is the stretch of the whole tree.
func (s *lastScan) top() entryRange {
	if s == nil {
		return entryRange{}
	}
	return entryRange{s.Self, 0, len(s.Entries)}
}

// listed reports whether a directory that looks as self does holds the names
// that the last scan found.
func (s *lastScan) listed(was entryRange, self Stamp) bool {
	return s != nil && was.dir == self && was.dir != Stamp{}
}

// in yields the entries that lie directly in a directory.
func (s *lastScan) in(dir entryRange) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := dir.from; i < dir.to; i = s.after[i] {
			if !yield(i) {
				return
			}
		}
	}
}

func (s *lastScan) count(dir entryRange) (n int) {
	for range s.in(dir) {
		n++
	}
	return n
}

// match tells the directories that were found in one directory where the last
// scan has what is below them.
func (s *lastScan) match(l *dirEntries) {
	if s == nil || len(l.below) == 0 {
		return
	}
	i, dirs := l.last.from, l.below
	for _, f := range l.found {
		if f.Kind != artifact.KindDir {
			continue
		}
		for i < l.last.to && artifact.ComparePaths(s.Entries[i].Path, f.Path) < 0 {
			i = s.after[i]
		}
		if i < l.last.to && s.Entries[i].Path == f.Path && s.Entries[i].Kind == artifact.KindDir {
			dirs[0].last = entryRange{s.Entries[i].Stamp, i + 1, s.after[i]}
		}
		dirs = dirs[1:]
	}
}
