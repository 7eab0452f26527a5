package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// Diff returns the paths at which two published versions differ, in the order
// of a walk. It reads their indexes and file lists, verified, and none of
// their files. Directories count only when they are no directory in the other
// version, or not in it at all.
func Diff(ctx context.Context, store artifact.ReleaseStore, before, after artifact.Manifest) ([]artifact.Change, error) {
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
	var changes []artifact.Change
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && artifact.ComparePaths(old[0].Path, now[0].Path) < 0:
			changes = append(changes, artifact.Change{Path: old[0].Path, Before: publicEntry(&old[0])})
			old = old[1:]
		case len(old) == 0 || artifact.ComparePaths(old[0].Path, now[0].Path) > 0:
			changes = append(changes, artifact.Change{Path: now[0].Path, After: publicEntry(&now[0])})
			now = now[1:]
		default:
			if old[0] != now[0] {
				changes = append(changes, artifact.Change{Path: now[0].Path, Before: publicEntry(&old[0]), After: publicEntry(&now[0])})
			}
			old, now = old[1:], now[1:]
		}
	}
	return changes, nil
}

func publicEntry(e *artifact.Member) *artifact.Entry {
	p := &artifact.Entry{Kind: e.Kind.String(), Size: e.Size, Target: e.Target}
	if e.Kind == artifact.KindFile {
		p.Digest = artifact.DigestFromSum(e.Sum[:])
	}
	return p
}

// listing returns the entries of a published tree with the sums of their
// files, by paths below the prefix.
func listing(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) ([]artifact.Member, error) {
	x, err := summedIndex(ctx, store, m)
	if err != nil {
		return nil, err
	}
	var tree []artifact.Member
	for _, e := range artifact.TreeMembers(x.Members) {
		if p, below := strings.CutPrefix(e.Path, m.Tree.Prefix+"/"); below {
			e.Path = p
			tree = append(tree, e)
		}
	}
	return tree, nil
}

// summedIndex is a published version's index with the sums of all files. The
// digest of the tree proves that index and file list tell the truth about it.
func summedIndex(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) (*artifact.Index, error) {
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return nil, err
	}
	text, err := fetchList(ctx, store, m, x)
	if err != nil {
		return nil, err
	}
	name := artifact.ReleasePrefix(m.Version) + artifact.TarballName
	sums, err := artifact.ParseFileList(text)
	if err != nil {
		return nil, err
	}
	all := artifact.TreeMembers(x.Members)
	for i := range all {
		if all[i].Kind != artifact.KindFile {
			continue
		}
		if n, err := hex.Decode(all[i].Sum[:], []byte(sums[all[i].Path])); err != nil || n != len(all[i].Sum) {
			return nil, artifact.Damagef(name, "%s does not list %q", artifact.ListPath, all[i].Path)
		}
	}
	if artifact.TreeDigest(all) != m.Tree.Digest {
		return nil, artifact.Damagef(name, "%s lists other content than the manifest says", artifact.ListPath)
	}
	x.Members[len(x.Members)-1].Sum = sha256.Sum256(text)
	return x, nil
}

// fetchList reads the file list, which is the last member, from the one
// section that it is in.
func fetchList(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, x *artifact.Index) ([]byte, error) {
	sections, err := x.Sections()
	if err != nil {
		return nil, err
	}
	last := sections[len(sections)-1]
	body := newRangeReader(ctx, store, m, last.Offset, last.Offset+last.Stored)
	defer body.Close()
	list := &listSink{index: x}
	r, err := newUnpacker(artifact.ReleasePrefix(m.Version)+artifact.TarballName, x).reader(list)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.section(last, sequential(body)); err != nil {
		return nil, err
	}
	if artifact.DigestOf(list.text) != m.Tree.List {
		return nil, artifact.Damagef(r.u.name, "%s has another digest than the manifest says", artifact.ListPath)
	}
	return list.text, nil
}

// listSink keeps the file list and lets all else pass.
type listSink struct {
	discard
	index *artifact.Index
	text  []byte
}

func (s *listSink) write(i int, _ int64, p []byte) error {
	if s.index.Members[i].Path == artifact.ListPath {
		s.text = append(s.text, p...)
	}
	return nil
}
