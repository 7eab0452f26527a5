package artifact

import (
	"iter"
	"path"
)

// lastScan is an earlier scan of a tree, to look again at what it found. A nil
// one knows nothing.
type lastScan struct {
	scanned
	after []int               // of each entry: the next one that does not lie below it
	left  map[string][]string // what was left out, by directory; "" is the tree's own
}

// stretch is where entries stand that lie below a directory. The zero value is
// nowhere.
type stretch struct {
	dir      stamp // the directory's
	from, to int
}

func newLastScan(t *scanned) *lastScan {
	if t == nil {
		return nil
	}
	s := &lastScan{scanned: *t, after: make([]int, len(t.entries)), left: map[string][]string{}}
	for _, p := range t.left {
		dir := path.Dir(p)
		if dir == "." {
			dir = ""
		}
		s.left[dir] = append(s.left[dir], p)
	}
	var above []int // directories that the entry lies below
	for i := range t.entries {
		for len(above) > 0 && !below(t.entries[above[len(above)-1]].path, t.entries[i].path) {
			s.after[above[len(above)-1]] = i
			above = above[:len(above)-1]
		}
		s.after[i] = i + 1
		if t.entries[i].kind == kindDir {
			above = append(above, i)
		}
	}
	for _, i := range above {
		s.after[i] = len(t.entries)
	}
	return s
}

// below reports whether a path lies below a directory.
func below(dir, p string) bool {
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// top is the stretch of the whole tree.
func (s *lastScan) top() stretch {
	if s == nil {
		return stretch{}
	}
	return stretch{s.self, 0, len(s.entries)}
}

// listed reports whether a directory that looks as self does holds the names
// that the last scan found.
func (s *lastScan) listed(then stretch, self stamp) bool {
	return s != nil && then.dir == self && then.dir != stamp{}
}

// in yields the entries that lie directly in a directory.
func (s *lastScan) in(dir stretch) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := dir.from; i < dir.to; i = s.after[i] {
			if !yield(i) {
				return
			}
		}
	}
}

func (s *lastScan) count(dir stretch) (n int) {
	for range s.in(dir) {
		n++
	}
	return n
}

// match tells the directories that were found in one directory where the last
// scan has what is below them.
func (s *lastScan) match(l *held) {
	if s == nil || len(l.below) == 0 {
		return
	}
	i, dirs := l.then.from, l.below
	for _, f := range l.found {
		if f.kind != kindDir {
			continue
		}
		for i < l.then.to && comparePaths(s.entries[i].path, f.path) < 0 {
			i = s.after[i]
		}
		if i < l.then.to && s.entries[i].path == f.path && s.entries[i].kind == kindDir {
			dirs[0].then = stretch{s.entries[i].stamp, i + 1, s.after[i]}
		}
		dirs = dirs[1:]
	}
}
