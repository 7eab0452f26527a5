package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// found is an entry of a tree on disk, and how it looked when it was met.
type found struct {
	entry
	stamp stamp
}

// looks compares an entry remembered with one found at its path.
func (f *found) looks(now *found) bool {
	if f.kind != now.kind || f.size != now.size || f.target != now.target {
		return false
	}
	return f.kind != kindFile || stampsTell && f.stamp == now.stamp
}

// errVanished says that a tree changed under the walk.
type errVanished struct{ path, reason string }

func (e *errVanished) Error() string { return fmt.Sprintf("%q %s", e.path, e.reason) }

// scanned is a tree as one walk met it.
type scanned struct {
	self    stamp    // of the tree's own directory
	entries []found  // in the order of comparePaths
	left    []string // paths of what was left out, in no order
}

// maxWalkers bounds how many goroutines walk a tree.
const maxWalkers = 12

func walkers() int { return min(runtime.GOMAXPROCS(0), maxWalkers) }

// scanner walks a tree. It looks at everything before anything is opened, and
// goes on after a refusal so that a person hears how much is wrong.
type scanner struct {
	exclude excluder
	then    *lastScan // nil when nothing is known of an earlier one
	dev     uint64
	met     atomic.Int64  // entries
	spare   chan struct{} // a token for each walker that may still begin
}

// held is what one directory holds.
type held struct {
	found   []found
	left    []string
	below   []*held // of found's directories, in order
	then    stretch // of the last scan: where what is in the directory stands
	refused []*TreeError
	err     error // why it could not be read
}

// scan lists a tree, or says why no node could hold the same tree. Directories
// that look as they did in the last scan by the same exclusions are not listed
// again.
func scan(ctx context.Context, root dir, exclude excluder, before *scanned) (scanned, error) {
	then := newLastScan(before)
	self, err := root.self()
	if err != nil {
		return scanned{}, fmt.Errorf("reading tree: %w", err)
	}
	s := &scanner{exclude: exclude, then: then, dev: self.dev, spare: make(chan struct{}, maxWalkers)}
	for range walkers() - 1 {
		s.spare <- struct{}{}
	}
	top := &held{then: then.top()}
	s.enter(ctx, root, walker{rel: ".", self: self}, top)
	t := scanned{self: self, entries: make([]found, 0, s.met.Load())}
	var refused []*TreeError
	if refused, err = t.gather(top, nil); err != nil {
		return scanned{}, err
	}
	slices.SortFunc(refused, func(a, b *TreeError) int { return comparePaths(a.Path, b.Path) })
	if refused, err = t.judge(refused); err != nil {
		return scanned{}, err
	}
	if len(refused) > 0 {
		first := *refused[0]
		first.More = len(refused) - 1
		return scanned{}, &first
	}
	return t, nil
}

// gather puts what directories hold in order.
func (t *scanned) gather(l *held, refused []*TreeError) ([]*TreeError, error) {
	if l.err != nil {
		return nil, l.err
	}
	refused = append(refused, l.refused...)
	t.left = append(t.left, l.left...)
	below := l.below
	for i := range l.found {
		t.entries = append(t.entries, l.found[i])
		if l.found[i].kind != kindDir {
			continue
		}
		var err error
		if refused, err = t.gather(below[0], refused); err != nil {
			return nil, err
		}
		below = below[1:]
	}
	return refused, nil
}

// judge looks at what only a whole tree can be judged by.
func (t *scanned) judge(refused []*TreeError) ([]*TreeError, error) {
	size, links := int64(0), false
	for i := range t.entries {
		f := &t.entries[i]
		if size += f.size; size > maxBytes {
			return nil, &TreeError{Rule: RuleBytes, Path: f.path, Reason: fmt.Sprintf("brings the tree over %d bytes", int64(maxBytes))}
		}
		links = links || f.kind == kindLink
	}
	if links {
		refused = append(refused, t.checkLinks()...)
	}
	return refused, nil
}

// walker is one of the goroutines that walk a tree.
type walker struct {
	rel   string // of the directory that it is in
	self  stamp  // of that directory
	depth int
	buf   []byte // scratch for names
}

func (l *held) refuse(rule, p, reason string) {
	l.refused = append(l.refused, &TreeError{Rule: rule, Path: p, Reason: reason})
}

// walk fills in what is in d, and everything below it.
func (s *scanner) walk(ctx context.Context, d dir, w walker, l *held) {
	if l.err = ctx.Err(); l.err != nil {
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, 32<<10)
	}
	if w.rel == "." {
		w.rel = ""
	}
	if s.then.listed(l.then, w.self) {
		if l.err = s.lookAgain(d, w, l); l.err == nil {
			s.descend(ctx, d, w, l)
		}
		return
	}
	names, err := d.names(nil, w.buf)
	if errors.Is(err, fs.ErrPermission) {
		l.refuse(RuleUnreadable, orRoot(w.rel), "cannot be listed")
		return
	}
	if err != nil {
		l.err = vanished(w.rel, err)
		return
	}
	slices.Sort(names)
	if l.err = s.look(d, w, names, l); l.err != nil {
		return
	}
	s.descend(ctx, d, w, l)
}

// look looks at each name in d.
func (s *scanner) look(d dir, w walker, names []string, l *held) error {
	l.found = make([]found, 0, len(names))
	var collide *collisions // paths collide only where two names of one directory do
	if mayCollide(names) {
		collide = newCollisions()
	}
	for _, name := range names {
		p := name
		if w.rel != "" {
			p = w.rel + "/" + name
		}
		if s.exclude.match(p) {
			l.left = append(l.left, p)
			continue
		}
		if s.met.Add(1) > maxEntries {
			return &TreeError{Rule: RuleEntries, Path: p, Reason: fmt.Sprintf("is one entry more than %d", maxEntries)}
		}
		if reason := badName(name); reason != "" {
			l.refuse(RuleName, p, reason)
			continue
		}
		if len(p) > maxPath {
			l.refuse(RuleName, p, fmt.Sprintf("has a path longer than %d bytes", maxPath))
			continue
		}
		if earlier := collide.add(name); earlier != "" {
			l.refuse(RuleCollision, p, fmt.Sprintf("is the same name as %q on other file systems", path.Join(w.rel, earlier)))
			continue
		}
		if err := s.visit(d, p, w.depth+1, l); err != nil {
			return err
		}
	}
	s.then.match(l)
	return nil
}

// lookAgain looks at what the last scan found in d.
func (s *scanner) lookAgain(d dir, w walker, l *held) error {
	l.left = s.then.left[w.rel]
	l.found = make([]found, 0, s.then.count(l.then))
	for i := range s.then.in(l.then) {
		s.met.Add(1)
		if err := s.visit(d, s.then.entries[i].path, w.depth+1, l); err != nil {
			return err
		}
	}
	s.then.match(l)
	return nil
}

// visit takes an entry into what is held, or refuses it.
func (s *scanner) visit(d dir, p string, depth int, l *held) error {
	name := path.Base(p)
	st, err := d.stat(name)
	if err != nil {
		return vanished(p, err)
	}
	f := found{entry: entry{path: p}, stamp: st}
	switch st.mode.Type() {
	case fs.ModeDir:
		f.kind = kindDir
		if st.dev != s.dev {
			l.refuse(RuleMount, p, "is another file system")
			return nil
		}
		if depth >= maxDepth {
			l.refuse(RuleDepth, p, fmt.Sprintf("is nested deeper than %d directories", maxDepth))
			return nil
		}
		// Directories inherit set-group-ID from the one above: it tells nothing.
		if st.mode&(fs.ModeSetuid|fs.ModeSticky) != 0 {
			l.refuse(RuleMode, p, fmt.Sprintf("has the mode %v", st.mode))
			return nil
		}
		l.below = append(l.below, &held{})
	case fs.ModeSymlink:
		f.kind = kindLink
		if f.target, err = d.readlink(name); err != nil {
			return vanished(p, err)
		}
	case 0:
		f.kind, f.size = kindFile, st.size
		if st.mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			l.refuse(RuleMode, p, fmt.Sprintf("has the mode %v", st.mode))
			return nil
		}
	default:
		l.refuse(RuleSpecial, p, "is a "+specialName(st.mode))
		return nil
	}
	l.found = append(l.found, f)
	return nil
}

// descend walks the directories that were found in d, beside each other as
// far as there are walkers to spare.
func (s *scanner) descend(ctx context.Context, d dir, w walker, l *held) {
	var beside sync.WaitGroup
	defer beside.Wait()
	below := l.below
	for i := range l.found {
		if l.found[i].kind != kindDir {
			continue
		}
		sub := below[0]
		below = below[1:]
		into := walker{rel: l.found[i].path, self: l.found[i].stamp, depth: w.depth + 1, buf: w.buf}
		select {
		case <-s.spare:
			beside.Go(func() {
				into.buf = nil
				s.enter(ctx, d, into, sub)
				s.spare <- struct{}{}
			})
		default:
			s.enter(ctx, d, into, sub)
		}
	}
}

func (s *scanner) enter(ctx context.Context, parent dir, w walker, l *held) {
	d, err := parent.open(path.Base(w.rel))
	if errors.Is(err, fs.ErrPermission) {
		l.refuse(RuleUnreadable, w.rel, "cannot be opened")
		return
	}
	if err != nil {
		l.err = vanished(w.rel, err)
		return
	}
	defer d.close()
	s.walk(ctx, d, w, l)
}

// checkLinks resolves all links against what was found.
func (t *scanned) checkLinks() (refused []*TreeError) {
	byPath := make(map[string]*entry, len(t.entries))
	for i := range t.entries {
		byPath[t.entries[i].path] = &t.entries[i].entry
	}
	at := func(p string) (entry, bool) {
		e, ok := byPath[p]
		if !ok {
			return entry{}, false
		}
		return *e, true
	}
	for i := range t.entries {
		f := &t.entries[i]
		if f.kind != kindLink {
			continue
		}
		if bad := checkLink(f.path, f.target, at); bad != nil {
			refused = append(refused, &TreeError{Rule: bad.rule, Path: f.path, Reason: bad.reason})
		}
	}
	return refused
}

// vanished tells a tree that changes from one that cannot be read. What was
// seen as a directory, a file or a link and then behaves as something else was
// replaced meanwhile; os.Root itself, not the system, refuses a link that leads
// outside.
func vanished(p string, err error) error {
	var errno syscall.Errno
	var pathError *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &errVanished{path: orRoot(p), reason: "vanished"}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EINVAL),
		errors.As(err, &pathError) && !errors.As(err, &errno):
		return &errVanished{path: orRoot(p), reason: "changed into something else"}
	}
	return fmt.Errorf("reading tree: %w", err)
}

func orRoot(p string) string {
	if p == "" {
		return "."
	}
	return p
}

func specialName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	default:
		return "special file"
	}
}

// sameTree returns how two scans of one tree differ.
func sameTree(before, after []found) *errVanished {
	for i := range before {
		switch {
		case i >= len(after) || comparePaths(before[i].path, after[i].path) < 0:
			return &errVanished{before[i].path, "vanished"}
		case before[i].path != after[i].path:
			return &errVanished{after[i].path, "appeared"}
		case before[i].entry != after[i].entry || before[i].stamp != after[i].stamp && before[i].kind != kindDir:
			return &errVanished{before[i].path, "changed"}
		}
	}
	if len(after) > len(before) {
		return &errVanished{after[len(before)].path, "appeared"}
	}
	return nil
}

// tick is longer than the clock that file systems stamp with is coarse.
const tick = 20 * time.Millisecond

// settle waits until a further change of the tree would carry another stamp
// than the ones already found: within one tick of the file system's clock two
// writes look like one.
func settle(ctx context.Context, tree scanned) error {
	newest := max(tree.self.ctime, tree.self.mtime)
	for i := range tree.entries {
		newest = max(newest, tree.entries[i].stamp.ctime, tree.entries[i].stamp.mtime)
	}
	wait := tick - time.Since(time.Unix(0, newest))
	if wait <= 0 || wait > tick {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
