package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Entry is what a release holds at a path.
type Entry struct {
	Kind   string `json:"kind"`             // file, directory or link
	Size   int64  `json:"size"`             // of a file
	Digest Digest `json:"digest,omitempty"` // of a file's content
	Target string `json:"target,omitempty"` // of a link
}

// Change is a path at which two releases differ.
type Change struct {
	Path   string `json:"path"`             // below the prefix
	Before *Entry `json:"before,omitempty"` // nil when it was added
	After  *Entry `json:"after,omitempty"`  // nil when it was removed
}

// Diff returns the paths at which two published versions differ, in the order
// of a walk. It reads their indexes and file lists, verified, and none of
// their files. Directories count only when they are no directory in the other
// version, or not in it at all.
func Diff(ctx context.Context, store ReleaseStore, before, after Manifest) ([]Change, error) {
	if before.Tree.Digest == after.Tree.Digest {
		return nil, nil
	}
	old, err := listing(ctx, store, before)
	if err != nil {
		return nil, err
	}
	now, err := listing(ctx, store, after)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && comparePaths(old[0].path, now[0].path) < 0:
			changes = append(changes, Change{Path: old[0].path, Before: publicEntry(&old[0])})
			old = old[1:]
		case len(old) == 0 || comparePaths(old[0].path, now[0].path) > 0:
			changes = append(changes, Change{Path: now[0].path, After: publicEntry(&now[0])})
			now = now[1:]
		default:
			if old[0] != now[0] {
				changes = append(changes, Change{Path: now[0].path, Before: publicEntry(&old[0]), After: publicEntry(&now[0])})
			}
			old, now = old[1:], now[1:]
		}
	}
	return changes, nil
}

func publicEntry(e *entry) *Entry {
	p := &Entry{Kind: e.kind.String(), Size: e.size, Target: e.target}
	if e.kind == kindFile {
		p.Digest = DigestFromSum(e.sum[:])
	}
	return p
}

// listing returns the entries of a published tree with the sums of their
// files, by paths below the prefix.
func listing(ctx context.Context, store ReleaseStore, m Manifest) ([]entry, error) {
	x, err := summedIndex(ctx, store, m)
	if err != nil {
		return nil, err
	}
	var tree []entry
	for _, e := range treeMembers(x.entries) {
		if p, below := strings.CutPrefix(e.path, m.Tree.Prefix+"/"); below {
			e.path = p
			tree = append(tree, e)
		}
	}
	return tree, nil
}

// summedIndex is a published version's index with the sums of all files. The
// digest of the tree proves that index and file list tell the truth about it.
func summedIndex(ctx context.Context, store ReleaseStore, m Manifest) (*index, error) {
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return nil, err
	}
	text, err := fetchList(ctx, store, m, x)
	if err != nil {
		return nil, err
	}
	name := ReleasePrefix(m.Version) + artifactName
	sums, err := parseFileList(text)
	if err != nil {
		return nil, err
	}
	all := treeMembers(x.entries)
	for i := range all {
		if all[i].kind != kindFile {
			continue
		}
		if n, err := hex.Decode(all[i].sum[:], []byte(sums[all[i].path])); err != nil || n != len(all[i].sum) {
			return nil, damaged(name, "%s does not list %q", listPath, all[i].path)
		}
	}
	if treeDigest(all) != m.Tree.Digest {
		return nil, damaged(name, "%s lists other content than the manifest says", listPath)
	}
	x.entries[len(x.entries)-1].sum = sha256.Sum256(text)
	return x, nil
}

// fetchList reads the file list, which is the last member, from the one
// section that it is in.
func fetchList(ctx context.Context, store ReleaseStore, m Manifest, x *index) ([]byte, error) {
	sections, err := x.sections()
	if err != nil {
		return nil, err
	}
	last := sections[len(sections)-1]
	body := newRangeReader(ctx, store, m, last.offset, last.offset+last.stored)
	defer body.Close()
	list := &listSink{index: x}
	r, err := newUnpacker(ReleasePrefix(m.Version)+artifactName, x).reader(list)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.section(last, sequential(body)); err != nil {
		return nil, err
	}
	if DigestOf(list.text) != m.Tree.List {
		return nil, damaged(r.u.name, "%s has another digest than the manifest says", listPath)
	}
	return list.text, nil
}

// listSink keeps the file list and lets all else pass.
type listSink struct {
	discard
	index *index
	text  []byte
}

func (s *listSink) write(i int, _ int64, p []byte) error {
	if s.index.entries[i].path == listPath {
		s.text = append(s.text, p...)
	}
	return nil
}
