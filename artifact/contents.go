package artifact

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// File is a file of a published release.
type File struct {
	Path   string `json:"path"` // below the prefix
	Size   int64  `json:"size"`
	Digest Digest `json:"digest"` // of its content
}

// Files lists the files of a published version, in the order of a walk. It
// reads index and file list, verified, and none of the files.
func Files(ctx context.Context, store ReleaseStore, m Manifest) ([]File, error) {
	entries, err := listing(ctx, store, m)
	if err != nil {
		return nil, err
	}
	var files []File
	for i := range entries {
		if e := &entries[i]; e.kind == kindFile {
			files = append(files, File{Path: e.path, Size: e.size, Digest: DigestFromSum(e.sum[:])})
		}
	}
	return files, nil
}

// Extract writes files of a published version, as Files lists them, below a
// directory, and makes the directories that they need. Only the frames that hold
// them are read. Each is compared with its digest; one that is there already is
// an error.
func Extract(ctx context.Context, store ReleaseStore, m Manifest, files []File, dir string) error {
	if len(files) == 0 {
		return nil
	}
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return err
	}
	sections, err := x.sections()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	defer root.Close()
	to := &picker{index: x, root: root, prefix: m.Tree.Prefix, name: ReleasePrefix(m.Version) + artifactName, want: map[string]Digest{}}
	for _, f := range files {
		to.want[path.Join(m.Tree.Prefix, f.Path)] = f.Digest
	}
	r, err := newUnpacker(to.name, x).reader(to)
	if err != nil {
		return err
	}
	defer r.close()
	for _, s := range sections {
		if !to.wanted(s) {
			continue
		}
		body := newRangeReader(ctx, store, m, s.offset, s.offset+s.stored)
		err := r.section(s, sequential(body))
		body.Close()
		if err != nil {
			return err
		}
	}
	if len(to.want) > 0 {
		return damaged(to.name, "%d of the files are not in it", len(to.want))
	}
	return nil
}

// picker is a sink that keeps the wanted files.
type picker struct {
	index  *index
	root   *os.Root
	prefix string
	name   string
	want   map[string]Digest // by path with its prefix; those still to come
	open   *os.File
}

// wanted reports whether a section holds a wanted file.
func (k *picker) wanted(s placed) bool {
	for i := s.first; i < s.last; i++ {
		if _, ok := k.want[k.index.entries[i].path]; ok {
			return true
		}
	}
	return false
}

func (k *picker) write(i int, _ int64, p []byte) error {
	if err := k.create(i); err != nil || k.open == nil {
		return err
	}
	_, err := k.open.Write(p)
	return err
}

// create opens a wanted file for writing, once.
func (k *picker) create(i int) (err error) {
	e := &k.index.entries[i]
	if _, ok := k.want[e.path]; !ok || k.open != nil {
		return nil
	}
	name := filepath.FromSlash(e.path[len(k.prefix)+1:])
	if err := k.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	if k.open, err = k.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	return nil
}

func (k *picker) end(i int) error {
	if err := k.create(i); err != nil || k.open == nil { // it may be empty
		return err
	}
	e := &k.index.entries[i]
	err := k.open.Close()
	k.open = nil
	if err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	if DigestFromSum(e.sum[:]) != k.want[e.path] {
		return damaged(k.name, "%q has another content than it is listed with", e.path)
	}
	delete(k.want, e.path)
	return nil
}

func (k *picker) flush() error { return nil }

func (k *picker) close() {
	if k.open != nil {
		k.open.Close()
	}
}
