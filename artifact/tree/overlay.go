package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// Content is what a file of a release holds that the tree's disk does not: how
// to open it is all that is known of it.
type Content interface {
	// Open opens the content; the caller closes it.
	Open(ctx context.Context) (io.ReadCloser, error)
}

// Bytes are a file's content in memory.
type Bytes []byte

// Open implements Content.
func (b Bytes) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
}

// An Overlay is what a release holds otherwise than its tree: files in the place
// of others, and files besides. The zero value changes nothing.
type Overlay struct {
	replaced map[string]Entry
	added    map[string]Entry
}

// Replace puts a file into the place of the file or link at a path. A path that
// the tree does not have, or leaves out, stays without.
func (o *Overlay) Replace(p string, content []byte) {
	if o.replaced == nil {
		o.replaced = map[string]Entry{}
	}
	o.replaced[p] = overlaid(artifact.Member{Path: p, Size: int64(len(content)), Sum: sha256.Sum256(content)}, Bytes(content))
}

// Add adds a file that the tree does not have, and the directories above it. Its
// member has path, size and sum.
func (o *Overlay) Add(m artifact.Member, content Content) {
	if o.added == nil {
		o.added = map[string]Entry{}
	}
	o.added[m.Path] = overlaid(m, content)
}

func overlaid(m artifact.Member, content Content) Entry {
	m.Kind = artifact.KindFile
	return Entry{Member: m, Stamp: Stamp{Mode: artifact.FileMode, Size: m.Size}, Content: content}
}

// Empty reports whether the overlay changes nothing.
func (o *Overlay) Empty() bool { return len(o.replaced) == 0 && len(o.added) == 0 }

// Lay returns what a release holds: the tree as it was listed, with an overlay
// over it. Findings are those of the release: a link that is replaced leads
// nowhere any more.
func (t *Listing) Lay(o Overlay) (Listing, error) {
	if o.Empty() {
		return *t, nil
	}
	laid := Listing{Self: t.Self, Excluded: t.Excluded, walked: t.walked, Entries: make([]Entry, 0, len(t.Entries)+len(o.added))}
	for _, e := range t.Entries {
		if r, ok := o.replaced[e.Path]; ok {
			if e.Kind == artifact.KindDir {
				return Listing{}, fmt.Errorf("replacing %q: it is a directory", e.Path)
			}
			e = r
		}
		laid.Entries = append(laid.Entries, e)
	}
	if err := laid.add(o.added); err != nil {
		return Listing{}, err
	}
	laid.judge()
	return laid, nil
}

// add takes files in, with the directories above them that are missing.
func (t *Listing) add(files map[string]Entry) error {
	kinds := make(map[string]artifact.Kind, len(t.Entries))
	for i := range t.Entries {
		kinds[t.Entries[i].Path] = t.Entries[i].Kind
	}
	beside := map[string]bool{} // directories that got a name
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if _, taken := kinds[p]; taken {
			return fmt.Errorf("adding %q: the tree has it", p)
		}
		if reason := artifact.BadPath(p); reason != "" {
			return fmt.Errorf("adding %q: it %s", p, reason)
		}
		for i, c := range p {
			if c != '/' {
				continue
			}
			switch kind, ok := kinds[p[:i]]; {
			case !ok:
				kinds[p[:i]] = artifact.KindDir
				t.Entries = append(t.Entries, Entry{Member: artifact.Member{Path: p[:i], Kind: artifact.KindDir}, Stamp: Stamp{Mode: fs.ModeDir | artifact.DirMode}})
				beside[path.Dir(p[:i])] = true
			case kind != artifact.KindDir:
				return fmt.Errorf("adding %q: %q is no directory", p, p[:i])
			}
		}
		kinds[p] = artifact.KindFile
		t.Entries = append(t.Entries, files[p])
		beside[path.Dir(p)] = true
	}
	if len(t.Entries) > artifact.MaxEntries {
		return fmt.Errorf("adding %d files: a tree has at most %d entries", len(files), artifact.MaxEntries)
	}
	slices.SortFunc(t.Entries, func(a, b Entry) int { return artifact.ComparePaths(a.Path, b.Path) })
	return t.collide(beside)
}

// collide refuses names of directories that other file systems take for one.
func (t *Listing) collide(dirs map[string]bool) error {
	seen := map[string]*artifact.Collisions{}
	for i := range t.Entries {
		p := t.Entries[i].Path
		dir := path.Dir(p)
		if !dirs[dir] {
			continue
		}
		if seen[dir] == nil {
			seen[dir] = artifact.NewCollisions()
		}
		if other := seen[dir].Add(p[strings.LastIndexByte(p, '/')+1:]); other != "" {
			return fmt.Errorf("adding files: %q is the same name as %q on other file systems", p, path.Join(dir, other))
		}
	}
	return nil
}
