package tree

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

	"github.com/wpbake/wpbake/artifact"
)

// Entry is an entry of a tree, and how it looked when it was met.
type Entry struct {
	artifact.Member
	Stamp   Stamp
	Content Content // of a file that is not the disk's; then the sum is known
}

// Looks compares an entry remembered with one found at its path.
func (f *Entry) Looks(now *Entry) bool {
	if f.Kind != now.Kind || f.Size != now.Size || f.Target != now.Target {
		return false
	}
	return f.Kind != artifact.KindFile || StampsTell && f.Stamp == now.Stamp
}

// A Listing is a tree as one walk met it.
type Listing struct {
	Self     Stamp     // of the tree's own directory
	Entries  []Entry   // in the order of artifact.ComparePaths
	Excluded []string  // paths of what was left out, in no order
	Findings []Finding // why no node could hold this tree; none of a good one
	Changed  *Change   // what was not, or did not stay, as it was met; nil when the tree held still

	walked []Finding // those that the walk met, without what the whole is judged by
}

// maxWalkers bounds how many goroutines walk a tree.
const maxWalkers = 12

func walkers() int { return min(runtime.GOMAXPROCS(0), maxWalkers) }

// scanner walks a tree. It looks at everything before anything is opened, and
// goes on after a refusal so that a person hears how much is wrong.
type scanner struct {
	exclude Excludes
	last    *lastScan // nil when nothing is known of an earlier one
	dev     uint64
	met     atomic.Int64  // entries
	spare   chan struct{} // a token for each walker that may still begin
}

// dirEntries is what one directory holds.
type dirEntries struct {
	found    []Entry
	left     []string
	below    []*dirEntries // of found's directories, in order
	last     entryRange    // of the last scan: where what is in the directory stands
	findings []Finding
	err      error // why it could not be read
}

// Scan lists a tree and says why no node could hold the same. Directories that
// look as they did in an earlier listing by the same exclusions are not listed
// again; nil knows of none.
func Scan(ctx context.Context, root Dir, exclude Excludes, previous *Listing) (Listing, error) {
	last := newLastScan(previous)
	self, err := root.self()
	if err != nil {
		return Listing{}, fmt.Errorf("reading tree: %w", err)
	}
	s := &scanner{exclude: exclude, last: last, dev: self.Dev, spare: make(chan struct{}, maxWalkers)}
	for range walkers() - 1 {
		s.spare <- struct{}{}
	}
	top := &dirEntries{last: last.top()}
	s.enter(ctx, root, walker{rel: ".", self: self}, top)
	t := Listing{Self: self, Entries: make([]Entry, 0, s.met.Load())}
	if err := t.gather(top); err != nil {
		t.Changed, err = ChangeIn(err)
		return t, err
	}
	slices.SortFunc(t.walked, func(a, b Finding) int { return artifact.ComparePaths(a.Path, b.Path) })
	t.judge()
	return t, nil
}

// gather puts what directories hold in order.
func (t *Listing) gather(l *dirEntries) error {
	if l.err != nil {
		return l.err
	}
	t.walked = append(t.walked, l.findings...)
	t.Excluded = append(t.Excluded, l.left...)
	below := l.below
	for i := range l.found {
		t.Entries = append(t.Entries, l.found[i])
		if l.found[i].Kind != artifact.KindDir {
			continue
		}
		if err := t.gather(below[0]); err != nil {
			return err
		}
		below = below[1:]
	}
	return nil
}

// judge looks at what only a whole tree can be judged by, and sums up. A tree
// that is too large is told nothing else.
func (t *Listing) judge() {
	size, links := int64(0), false
	for i := range t.Entries {
		f := &t.Entries[i]
		if size += f.Size; size > artifact.MaxBytes {
			t.Findings = []Finding{{Rule: artifact.RuleBytes, Path: f.Path, Reason: fmt.Sprintf("brings the tree over %d bytes", int64(artifact.MaxBytes))}}
			return
		}
		links = links || f.Kind == artifact.KindLink
	}
	if i := slices.IndexFunc(t.walked, func(f Finding) bool { return f.Rule == artifact.RuleEntries }); i >= 0 {
		t.Findings = t.walked[i : i+1 : i+1]
		return
	}
	t.Findings = slices.Clip(t.walked)
	if links {
		t.Findings = append(t.Findings, t.checkLinks()...)
	}
}

// walker is one of the goroutines that walk a tree.
type walker struct {
	rel   string // of the directory that it is in
	self  Stamp  // of that directory
	depth int
	buf   []byte // scratch for names
}

func (l *dirEntries) refuse(rule, p, reason string) {
	l.findings = append(l.findings, Finding{Rule: rule, Path: p, Reason: reason})
}

// walk fills in what is in d, and everything below it.
func (s *scanner) walk(ctx context.Context, d Dir, w walker, l *dirEntries) {
	if l.err = ctx.Err(); l.err != nil {
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, 32<<10)
	}
	if w.rel == "." {
		w.rel = ""
	}
	if s.last.listed(l.last, w.self) {
		if l.err = s.lookAgain(d, w, l); l.err == nil {
			s.descend(ctx, d, w, l)
		}
		return
	}
	names, err := d.names(nil, w.buf)
	if errors.Is(err, fs.ErrPermission) {
		l.refuse(artifact.RuleUnreadable, orRoot(w.rel), "cannot be listed")
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
func (s *scanner) look(d Dir, w walker, names []string, l *dirEntries) error {
	l.found = make([]Entry, 0, len(names))
	var collide *artifact.Collisions // paths collide only where two names of one directory do
	if artifact.MayCollide(names) {
		collide = artifact.NewCollisions()
	}
	for _, name := range names {
		p := name
		if w.rel != "" {
			p = w.rel + "/" + name
		}
		if s.exclude.Match(p) {
			l.left = append(l.left, p)
			continue
		}
		if s.met.Add(1) > artifact.MaxEntries {
			l.refuse(artifact.RuleEntries, p, fmt.Sprintf("is one entry more than %d", artifact.MaxEntries))
			break
		}
		if reason := artifact.BadName(name); reason != "" {
			l.refuse(artifact.RuleName, p, reason)
			continue
		}
		if len(p) > artifact.MaxPath {
			l.refuse(artifact.RuleName, p, fmt.Sprintf("has a path longer than %d bytes", artifact.MaxPath))
			continue
		}
		if earlier := collide.Add(name); earlier != "" {
			l.refuse(artifact.RuleCollision, p, fmt.Sprintf("is the same name as %q on other file systems", path.Join(w.rel, earlier)))
			continue
		}
		if err := s.visit(d, p, w.depth+1, l); err != nil {
			return err
		}
	}
	s.last.match(l)
	return nil
}

// lookAgain looks at what the last scan found in d.
func (s *scanner) lookAgain(d Dir, w walker, l *dirEntries) error {
	l.left = s.last.left[w.rel]
	l.found = make([]Entry, 0, s.last.count(l.last))
	for i := range s.last.in(l.last) {
		s.met.Add(1)
		if err := s.visit(d, s.last.Entries[i].Path, w.depth+1, l); err != nil {
			return err
		}
	}
	s.last.match(l)
	return nil
}

// visit takes an entry into what is held, or refuses it.
func (s *scanner) visit(d Dir, p string, depth int, l *dirEntries) error {
	name := path.Base(p)
	st, err := d.stat(name)
	if err != nil {
		return vanished(p, err)
	}
	f := Entry{Member: artifact.Member{Path: p}, Stamp: st}
	switch st.Mode.Type() {
	case fs.ModeDir:
		f.Kind = artifact.KindDir
		if st.Dev != s.dev {
			l.refuse(artifact.RuleMount, p, "is another file system")
			return nil
		}
		if depth >= artifact.MaxDepth {
			l.refuse(artifact.RuleDepth, p, fmt.Sprintf("is nested deeper than %d directories", artifact.MaxDepth))
			return nil
		}
		// Directories inherit set-group-ID from the one above: it tells nothing.
		if st.Mode&(fs.ModeSetuid|fs.ModeSticky) != 0 {
			l.refuse(artifact.RuleMode, p, fmt.Sprintf("has the mode %v", st.Mode))
			return nil
		}
		l.below = append(l.below, &dirEntries{})
	case fs.ModeSymlink:
		f.Kind = artifact.KindLink
		if f.Target, err = d.readlink(name); err != nil {
			return vanished(p, err)
		}
	case 0:
		f.Kind, f.Size = artifact.KindFile, st.Size
		if st.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			l.refuse(artifact.RuleMode, p, fmt.Sprintf("has the mode %v", st.Mode))
			return nil
		}
	default:
		l.refuse(artifact.RuleSpecial, p, "is a "+specialName(st.Mode))
		return nil
	}
	l.found = append(l.found, f)
	return nil
}

// descend walks the directories that were found in d, beside each other as
// far as there are walkers to spare.
func (s *scanner) descend(ctx context.Context, d Dir, w walker, l *dirEntries) {
	var beside sync.WaitGroup
	defer beside.Wait()
	below := l.below
	for i := range l.found {
		if l.found[i].Kind != artifact.KindDir {
			continue
		}
		sub := below[0]
		below = below[1:]
		into := walker{rel: l.found[i].Path, self: l.found[i].Stamp, depth: w.depth + 1, buf: w.buf}
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

func (s *scanner) enter(ctx context.Context, parent Dir, w walker, l *dirEntries) {
	d, err := parent.open(path.Base(w.rel))
	if errors.Is(err, fs.ErrPermission) {
		l.refuse(artifact.RuleUnreadable, w.rel, "cannot be opened")
		return
	}
	if err != nil {
		l.err = vanished(w.rel, err)
		return
	}
	defer d.Close()
	s.walk(ctx, d, w, l)
}

// checkLinks resolves all links against what was found.
func (t *Listing) checkLinks() (bad []Finding) {
	byPath := make(map[string]*artifact.Member, len(t.Entries))
	for i := range t.Entries {
		byPath[t.Entries[i].Path] = &t.Entries[i].Member
	}
	at := func(p string) (artifact.Member, bool) {
		e, ok := byPath[p]
		if !ok {
			return artifact.Member{}, false
		}
		return *e, true
	}
	for i := range t.Entries {
		f := &t.Entries[i]
		if f.Kind != artifact.KindLink {
			continue
		}
		if e := artifact.CheckLink(f.Path, f.Target, at); e != nil {
			bad = append(bad, Finding{Rule: e.Rule, Path: f.Path, Reason: e.Reason})
		}
	}
	return bad
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
		return &Change{Path: orRoot(p), Reason: "vanished"}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EINVAL),
		errors.As(err, &pathError) && !errors.As(err, &errno):
		return &Change{Path: orRoot(p), Reason: "changed into something else"}
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

// compare returns how two scans of one tree differ.
func compare(before, after []Entry) *Change {
	for i := range before {
		switch {
		case i >= len(after) || artifact.ComparePaths(before[i].Path, after[i].Path) < 0:
			return &Change{Path: before[i].Path, Reason: "vanished"}
		case before[i].Path != after[i].Path:
			return &Change{Path: after[i].Path, Reason: "appeared"}
		case before[i].Member != after[i].Member || before[i].Stamp != after[i].Stamp && before[i].Kind != artifact.KindDir:
			return &Change{Path: before[i].Path, Reason: "changed"}
		}
	}
	if len(after) > len(before) {
		return &Change{Path: after[len(before)].Path, Reason: "appeared"}
	}
	return nil
}

// tick is longer than the clock that file systems stamp with is coarse.
const tick = 20 * time.Millisecond

// Settle waits until a further change of the tree would carry another stamp
// than the ones already found: within one tick of the file system's clock two
// writes look like one.
func (t *Listing) Settle(ctx context.Context) error {
	newest := max(t.Self.Ctime, t.Self.Mtime)
	for i := range t.Entries {
		newest = max(newest, t.Entries[i].Stamp.Ctime, t.Entries[i].Stamp.Mtime)
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
