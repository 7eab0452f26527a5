package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
	"golang.org/x/sync/errgroup"
)

// unpackedManifest is where Fetch leaves the manifest. It is no member of the
// artifact, whose digest it holds.
const unpackedManifest = artifact.MetaDir + "/" + artifact.ManifestName

// Unpacked returns the manifest that Fetch left in dir. It says what dir was
// made from; Check says whether it still is that.
func Unpacked(dir string) (artifact.Manifest, error) {
	f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(unpackedManifest)), tree.OpenFlags, 0)
	if err != nil {
		return artifact.Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	defer f.Close()
	b, err := artifact.ReadManifest(f)
	if err != nil {
		return artifact.Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	return artifact.ParseManifest(b)
}

// Check compares an unpacked release with its manifest: every path, kind,
// mode, content, link target and file time. What differs is *Damaged, with
// the path. Mutable state that DefaultExclude names may have appeared in it.
func Check(dir string, m artifact.Manifest) error { return check(context.Background(), dir, m) }

func check(ctx context.Context, name string, m artifact.Manifest) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("reading release: %w", err)
	}
	defer root.Close()
	listed, err := readList(root, m)
	if err != nil {
		return err
	}
	exclude, err := mutable(m.Tree.Prefix, listed)
	if err != nil {
		return err
	}
	d, err := tree.OpenDir(name)
	if err != nil {
		return fmt.Errorf("reading release: %w", err)
	}
	defer d.Close()
	all, err := tree.Scan(ctx, d, exclude, nil)
	if err != nil {
		return err
	}
	if all.Changed != nil {
		return all.Changed
	}
	if err := all.Refusal(); err != nil {
		return err
	}
	tree, err := splitMeta(all.Entries)
	if err != nil {
		return err
	}
	if err := sumFiles(ctx, d, tree); err != nil {
		return err
	}
	if err := compareList(tree, listed); err != nil {
		return err
	}
	entries := make([]artifact.Member, len(tree))
	for i := range tree {
		entries[i] = tree[i].Member
	}
	if artifact.TreeDigest(entries) != m.Tree.Digest {
		return artifact.Damagef(m.Tree.Prefix, "directories or links differ from the release's")
	}
	return compareMeta(root, m)
}

// readList reads the file list and compares it with the manifest.
func readList(root *os.Root, m artifact.Manifest) (map[string]string, error) {
	f, err := root.OpenFile(artifact.ListPath, tree.OpenFlags, 0)
	if err != nil {
		return nil, artifact.Damagef(artifact.ListPath, "it cannot be read: %v", err)
	}
	defer f.Close()
	longest := int64(m.Tree.Files) * int64(len(m.Tree.Prefix)+artifact.MaxPath+68)
	b, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return nil, fmt.Errorf("reading file list: %w", err)
	}
	if artifact.DigestOf(b) != m.Tree.List {
		return nil, artifact.Unreadf(artifact.ListPath, "it has another digest than the manifest says")
	}
	return artifact.ParseFileList(b)
}

// mutable returns the default exclusions that hold nothing of the release.
func mutable(prefix string, listed map[string]string) (tree.Excludes, error) {
	var free []string
	for _, pattern := range tree.DefaultExcludes() {
		if strings.HasPrefix(pattern, "/") {
			pattern = "/" + tree.Literal(prefix) + pattern
		}
		x, err := tree.ParseExcludes([]string{pattern})
		if err != nil {
			return x, err
		}
		if !anyBelow(x, listed) {
			free = append(free, pattern)
		}
	}
	return tree.ParseExcludes(free)
}

func anyBelow(x tree.Excludes, listed map[string]string) bool {
	for p := range listed {
		for i := range len(p) {
			if p[i] == '/' && x.Match(p[:i]) {
				return true
			}
		}
		if x.Match(p) {
			return true
		}
	}
	return false
}

// splitMeta cuts our own files off and refuses anything else beside them.
func splitMeta(all []tree.Entry) (tree []tree.Entry, err error) {
	for _, f := range all {
		switch {
		case f.Path == artifact.MetaDir || f.Path == artifact.ListPath || f.Path == unpackedManifest:
		case strings.HasPrefix(f.Path, artifact.MetaDir+"/"):
			return nil, artifact.Damagef(f.Path, "it is not in the release")
		default:
			tree = append(tree, f)
		}
	}
	return tree, nil
}

// sumFiles reads all files, a part of them in each worker.
func sumFiles(ctx context.Context, root tree.Dir, files []tree.Entry) error {
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		part := files[len(files)*w/workers : len(files)*(w+1)/workers]
		g.Go(func() error {
			t := &tree.Reader{Root: root}
			defer t.Close()
			for i := range part {
				if part[i].Kind != artifact.KindFile {
					continue
				}
				if err := sumFile(ctx, t, &part[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func sumFile(ctx context.Context, t *tree.Reader, f *tree.Entry) error {
	file, err := t.Open(ctx, f)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	if err := file.ReadTo(ctx, h); err != nil {
		return fmt.Errorf("reading release: %w", err)
	}
	h.Sum(f.Sum[:0])
	return nil
}

// compareList names the first entry that is not as listed.
func compareList(tree []tree.Entry, listed map[string]string) error {
	files := 0
	for i := range tree {
		f := &tree[i]
		perm := f.Stamp.Mode.Perm()
		switch f.Kind {
		case artifact.KindDir:
			if perm != artifact.DirMode {
				return artifact.Damagef(f.Path, "its mode is %v", f.Stamp.Mode)
			}
			continue
		case artifact.KindLink:
			continue
		}
		files++
		switch want, ok := listed[f.Path]; {
		case !ok:
			return artifact.Damagef(f.Path, "it is not in the release")
		case want != fmt.Sprintf("%x", f.Sum):
			return artifact.Damagef(f.Path, "its content is not the release's")
		case perm != artifact.FileMode:
			return artifact.Damagef(f.Path, "its mode is %v", f.Stamp.Mode)
		case f.Stamp.Mtime != f.ModTime().UnixNano():
			return artifact.Damagef(f.Path, "its time is not the release's")
		}
	}
	if files == len(listed) {
		return nil
	}
	for i := range tree {
		delete(listed, tree[i].Path)
	}
	return artifact.Damagef(firstKey(listed), "it is missing")
}

func firstKey(m map[string]string) string {
	first := ""
	for k := range m {
		if first == "" || artifact.ComparePaths(k, first) < 0 {
			first = k
		}
	}
	return first
}

// compareMeta checks the copy of the manifest, where there is one: tar leaves
// none.
func compareMeta(root *os.Root, m artifact.Manifest) error {
	b, err := root.ReadFile(unpackedManifest)
	if errors.Is(err, os.ErrNotExist) || err == nil && bytes.Equal(b, m.Marshal()) {
		return nil
	}
	return artifact.Damagef(unpackedManifest, "it is not the release's manifest")
}
