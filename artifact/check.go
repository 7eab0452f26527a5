package artifact

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

	"golang.org/x/sync/errgroup"
)

// unpackedManifest is where Fetch leaves the manifest. It is no member of the
// artifact, whose digest it holds.
const unpackedManifest = metaDir + "/" + manifestName

// Unpacked returns the manifest that Fetch left in dir. It says what dir was
// made from; Check says whether it still is that.
func Unpacked(dir string) (Manifest, error) {
	f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(unpackedManifest)), openFlags, 0)
	if err != nil {
		return Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	defer f.Close()
	b, err := readManifest(f)
	if err != nil {
		return Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	return ParseManifest(b)
}

// Check compares an unpacked release with its manifest: every path, kind,
// mode, content, link target and file time. What differs is *Damaged, with
// the path. Mutable state that DefaultExclude names may have appeared in it.
func Check(dir string, m Manifest) error { return check(context.Background(), dir, m) }

func check(ctx context.Context, name string, m Manifest) error {
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
	d, err := openTree(name)
	if err != nil {
		return fmt.Errorf("reading release: %w", err)
	}
	defer d.close()
	all, err := scan(ctx, d, exclude, nil)
	if err != nil {
		return err
	}
	tree, err := splitMeta(all.entries)
	if err != nil {
		return err
	}
	if err := sumFiles(ctx, d, tree); err != nil {
		return err
	}
	if err := compareList(tree, listed); err != nil {
		return err
	}
	entries := make([]entry, len(tree))
	for i := range tree {
		entries[i] = tree[i].entry
	}
	if treeDigest(entries) != m.Tree.Digest {
		return damaged(m.Tree.Prefix, "directories or links differ from the release's")
	}
	return compareMeta(root, m)
}

// readList reads the file list and compares it with the manifest.
func readList(root *os.Root, m Manifest) (map[string]string, error) {
	f, err := root.OpenFile(listPath, openFlags, 0)
	if err != nil {
		return nil, damaged(listPath, "it cannot be read: %v", err)
	}
	defer f.Close()
	longest := int64(m.Tree.Files) * int64(len(m.Tree.Prefix)+maxPath+68)
	b, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return nil, fmt.Errorf("reading file list: %w", err)
	}
	if DigestOf(b) != m.Tree.List {
		return nil, unread(listPath, "it has another digest than the manifest says")
	}
	return parseFileList(b)
}

// mutable returns the default exclusions that hold nothing of the release.
func mutable(prefix string, listed map[string]string) (excluder, error) {
	var free []string
	for _, pattern := range DefaultExclude() {
		if strings.HasPrefix(pattern, "/") {
			pattern = "/" + literal(prefix) + pattern
		}
		x, err := newExcluder([]string{pattern})
		if err != nil {
			return x, err
		}
		if !anyBelow(x, listed) {
			free = append(free, pattern)
		}
	}
	return newExcluder(free)
}

func anyBelow(x excluder, listed map[string]string) bool {
	for p := range listed {
		for i := range len(p) {
			if p[i] == '/' && x.match(p[:i]) {
				return true
			}
		}
		if x.match(p) {
			return true
		}
	}
	return false
}

// splitMeta cuts our own files off and refuses anything else beside them.
func splitMeta(all []found) (tree []found, err error) {
	for _, f := range all {
		switch {
		case f.path == metaDir || f.path == listPath || f.path == unpackedManifest:
		case strings.HasPrefix(f.path, metaDir+"/"):
			return nil, damaged(f.path, "it is not in the release")
		default:
			tree = append(tree, f)
		}
	}
	return tree, nil
}

// sumFiles reads all files, a part of them in each worker.
func sumFiles(ctx context.Context, root dir, files []found) error {
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		part := files[len(files)*w/workers : len(files)*(w+1)/workers]
		g.Go(func() error {
			t := &treeReader{root: root}
			defer t.Close()
			for i := range part {
				if part[i].kind != kindFile {
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

func sumFile(ctx context.Context, t *treeReader, f *found) error {
	file, err := t.file(f)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	if err := file.readTo(ctx, h); err != nil {
		return fmt.Errorf("reading release: %w", err)
	}
	h.Sum(f.sum[:0])
	return nil
}

// compareList names the first entry that is not as listed.
func compareList(tree []found, listed map[string]string) error {
	files := 0
	for i := range tree {
		f := &tree[i]
		perm := f.stamp.mode.Perm()
		switch f.kind {
		case kindDir:
			if perm != dirMode {
				return damaged(f.path, "its mode is %v", f.stamp.mode)
			}
			continue
		case kindLink:
			continue
		}
		files++
		switch want, ok := listed[f.path]; {
		case !ok:
			return damaged(f.path, "it is not in the release")
		case want != fmt.Sprintf("%x", f.sum):
			return damaged(f.path, "its content is not the release's")
		case perm != fileMode:
			return damaged(f.path, "its mode is %v", f.stamp.mode)
		case f.stamp.mtime != f.modTime().UnixNano():
			return damaged(f.path, "its time is not the release's")
		}
	}
	if files == len(listed) {
		return nil
	}
	for i := range tree {
		delete(listed, tree[i].path)
	}
	return damaged(firstKey(listed), "it is missing")
}

func firstKey(m map[string]string) string {
	first := ""
	for k := range m {
		if first == "" || comparePaths(k, first) < 0 {
			first = k
		}
	}
	return first
}

// compareMeta checks the copy of the manifest, where there is one: tar leaves
// none.
func compareMeta(root *os.Root, m Manifest) error {
	b, err := root.ReadFile(unpackedManifest)
	if errors.Is(err, os.ErrNotExist) || err == nil && bytes.Equal(b, m.Marshal()) {
		return nil
	}
	return damaged(unpackedManifest, "it is not the release's manifest")
}
