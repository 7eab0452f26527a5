package fetch

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
)

// Files lists the files of a published version, in the order of a walk. It
// reads index and file list, verified, and none of the files.
func Files(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) ([]artifact.File, error) {
	entries, err := listing(ctx, store, m)
	if err != nil {
		return nil, err
	}
	var files []artifact.File
	for i := range entries {
		if e := &entries[i]; e.Kind == artifact.KindFile {
			files = append(files, artifact.File{Path: e.Path, Size: e.Size, Digest: artifact.DigestFromSum(e.Sum[:])})
		}
	}
	return files, nil
}

// Extract writes files of a published version, as Files lists them, below a
// directory, and makes the directories that they need. Only the frames that hold
// them are read. Each is compared with its digest; one that is there already is
// an error.
func Extract(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest, files []artifact.File, dir string) error {
	if len(files) == 0 {
		return nil
	}
	x, err := fetchIndex(ctx, store, m)
	if err != nil {
		return err
	}
	sections, err := x.Sections()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	defer root.Close()
	to := &picker{index: x, root: root, prefix: m.Tree.Prefix, name: artifact.ReleasePrefix(m.Version) + artifact.TarballName, want: map[string]artifact.Digest{}}
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
		body := newRangeReader(ctx, store, m, s.Offset, s.Offset+s.Stored)
		err := r.section(s, sequential(body))
		body.Close()
		if err != nil {
			return err
		}
	}
	if len(to.want) > 0 {
		return artifact.Damagef(to.name, "%d of the files are not in it", len(to.want))
	}
	return nil
}

// picker is a sink that keeps the wanted files.
type picker struct {
	index  *artifact.Index
	root   *os.Root
	prefix string
	name   string
	want   map[string]artifact.Digest // by path with its prefix; those still to come
	open   *os.File
}

// wanted reports whether a section holds a wanted file.
func (k *picker) wanted(s artifact.Extent) bool {
	for i := s.First; i < s.Last; i++ {
		if _, ok := k.want[k.index.Members[i].Path]; ok {
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
	e := &k.index.Members[i]
	if _, ok := k.want[e.Path]; !ok || k.open != nil {
		return nil
	}
	name := filepath.FromSlash(e.Path[len(k.prefix)+1:])
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
	e := &k.index.Members[i]
	err := k.open.Close()
	k.open = nil
	if err != nil {
		return fmt.Errorf("writing files: %w", err)
	}
	if artifact.DigestFromSum(e.Sum[:]) != k.want[e.Path] {
		return artifact.Damagef(k.name, "%q has another content than it is listed with", e.Path)
	}
	delete(k.want, e.Path)
	return nil
}

func (k *picker) flush() error { return nil }

func (k *picker) close() {
	if k.open != nil {
		k.open.Close()
	}
}
