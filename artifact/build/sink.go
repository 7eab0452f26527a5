package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/scratch"
)

// sink is where a build puts a release.
type sink interface {
	// holds tells whether the release that is remembered is there already.
	holds(ctx context.Context, then *remembered) (bool, error)
	// begin begins a release that nobody sees before it is committed.
	begin(ctx context.Context) (pending, error)
}

// pending takes an artifact's bytes as they are made.
type pending interface {
	io.Writer
	// commit makes the release appear: its manifest last.
	commit(ctx context.Context, m artifact.Manifest, sbom []byte) error
	// local is a file on this machine that holds the artifact after commit.
	local() (string, error)
	// discard removes what was not committed.
	discard()
}

// folder is a version's folder on disk.
type folder struct{ dir string }

// holds tells whether the folder is as it was when it was remembered.
func (f *folder) holds(_ context.Context, then *remembered) (bool, error) {
	info, err := os.Lstat(filepath.Join(f.dir, artifact.TarballName))
	return err == nil && tree.StampOf(info) == then.artifact && standsSBOM(f.dir, then.manifest) &&
		holds(filepath.Join(f.dir, artifact.ManifestName), then.manifest.Marshal()), nil
}

func holds(name string, want []byte) bool {
	have, err := os.ReadFile(name)
	return err == nil && bytes.Equal(have, want)
}

func (f *folder) begin(context.Context) (pending, error) {
	own, err := scratch.New(filepath.Dir(f.dir), scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("making output directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(own.Path, artifact.TarballName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		own.Remove()
		return nil, fmt.Errorf("writing artifact: %w", err)
	}
	return &folderDraft{File: file, own: own, dir: f.dir}, nil
}

type folderDraft struct {
	*os.File
	own *scratch.Dir
	dir string
}

func (d *folderDraft) commit(ctx context.Context, m artifact.Manifest, sbom []byte) error {
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("writing artifact: %w", err)
	}
	if err := writeDocuments(d.own.Path, m, sbom); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return moveRelease(d.own.Path, d.dir)
}

func (d *folderDraft) local() (string, error) { return filepath.Join(d.dir, artifact.TarballName), nil }

func (d *folderDraft) discard() {
	d.Close()
	d.own.Remove()
}

// remembering is a target whose artifacts also go into a file of the cache.
type remembering struct {
	sink
	cache *cache
}

func (t remembering) begin(ctx context.Context) (pending, error) {
	d, err := t.sink.begin(ctx)
	if err != nil {
		return nil, err
	}
	own, file, err := t.cache.file()
	return &rememberingDraft{pending: d, own: own, file: file, forgot: err}, nil
}

type rememberingDraft struct {
	pending
	own    *scratch.Dir // holds file; nil when there is none
	file   *os.File
	forgot error // why the file is not whole; the release does not mind
}

func (d *rememberingDraft) Write(b []byte) (int, error) {
	if d.forgot == nil {
		_, d.forgot = d.file.Write(b)
	}
	return d.pending.Write(b)
}

func (d *rememberingDraft) local() (string, error) {
	if d.forgot != nil {
		return "", d.forgot
	}
	return d.file.Name(), d.file.Close()
}

func (d *rememberingDraft) discard() {
	d.pending.discard()
	if d.own != nil {
		d.file.Close()
		d.own.Remove()
	}
}
