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

// A Sink is where a build puts a release: a Folder or a Shelf.
type Sink interface {
	// holds tells whether the release that is remembered is there already.
	holds(ctx context.Context, last *remembered) (bool, error)
	// begin begins a release that nobody sees before it is committed.
	begin(ctx context.Context, b *Builder) (pending, error)
	// folder is the directory that holds a version, empty when a store does.
	folder(v artifact.Version) string
}

// pending takes an artifact's bytes as they are made.
type pending interface {
	io.Writer
	// commit makes the release appear, its manifest last, and reports whether it
	// was not there before.
	commit(ctx context.Context, m artifact.Manifest, sbom []byte) (created bool, err error)
	// local is a file on this machine that holds the artifact after commit.
	local() (string, error)
	// discard removes what was not committed.
	discard()
}

// Folder puts releases below a directory: releases/VERSION/, as in a store.
func Folder(out string) Sink { return folder{out} }

// folder is a directory that releases are written below.
type folder struct{ out string }

func (f folder) folder(v artifact.Version) string {
	return filepath.Join(f.out, "releases", string(v))
}

// holds tells whether the version's folder is as it was when it was remembered.
func (f folder) holds(_ context.Context, last *remembered) (bool, error) {
	dir := f.folder(last.manifest.Version)
	info, err := os.Lstat(filepath.Join(dir, artifact.TarballName))
	return err == nil && tree.StampOf(info) == last.artifact && standsSBOM(dir, last.manifest) &&
		holds(filepath.Join(dir, artifact.ManifestName), last.manifest.Marshal()), nil
}

func holds(name string, want []byte) bool {
	have, err := os.ReadFile(name)
	return err == nil && bytes.Equal(have, want)
}

// begin makes the output directory; a release that is discarded takes it along.
func (f folder) begin(_ context.Context, b *Builder) (pending, error) {
	dir := f.folder(b.Version)
	made, err := scratch.MakeDirs(filepath.Dir(dir))
	if err != nil {
		return nil, fmt.Errorf("making output directory: %w", err)
	}
	own, err := scratch.New(filepath.Dir(dir), scratchPrefix)
	if err != nil {
		scratch.RemoveEmpty(made)
		return nil, fmt.Errorf("making output directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(own.Path, artifact.TarballName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		own.Remove()
		scratch.RemoveEmpty(made)
		return nil, fmt.Errorf("writing artifact: %w", err)
	}
	return &pendingFolder{File: file, own: own, dir: dir, made: made}, nil
}

type pendingFolder struct {
	*os.File
	own  *scratch.Dir
	dir  string
	made []string // directories above dir
}

func (d *pendingFolder) commit(ctx context.Context, m artifact.Manifest, sbom []byte) (bool, error) {
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return false, fmt.Errorf("writing artifact: %w", err)
	}
	if err := writeDocuments(d.own.Path, m, sbom); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return true, moveRelease(d.own.Path, d.dir)
}

func (d *pendingFolder) local() (string, error) {
	return filepath.Join(d.dir, artifact.TarballName), nil
}

func (d *pendingFolder) discard() {
	d.Close()
	d.own.Remove()
	scratch.RemoveEmpty(d.made) // what was committed keeps them
}

// withCopy is a release whose artifact also goes into a file of the cache.
type withCopy struct {
	pending
	own    *scratch.Dir // holds file; nil when there is none
	file   *os.File
	forgot error // why the file is not whole; the release does not mind
}

// copied has a release's artifact written into the cache as well.
func copied(p pending, c *cache) pending {
	if c == nil {
		return p
	}
	own, file, err := c.file()
	return &withCopy{pending: p, own: own, file: file, forgot: err}
}

func (d *withCopy) Write(b []byte) (int, error) {
	if d.forgot == nil {
		_, d.forgot = d.file.Write(b)
	}
	return d.pending.Write(b)
}

func (d *withCopy) local() (string, error) {
	if d.forgot != nil {
		return "", d.forgot
	}
	return d.file.Name(), d.file.Close()
}

func (d *withCopy) discard() {
	d.pending.discard()
	if d.own != nil {
		d.file.Close()
		d.own.Remove()
	}
}
