package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/scratch"
)

// stagingDir is where a release or an image is to appear. What is made stands under
// partial until it is whole.
//
// The directory that holds dest is opened once and everything is done in it:
// whoever swaps it, or something in it, for a link meanwhile leads nothing
// outside.
type stagingDir struct {
	dest   string
	name   string   // of dest in parent
	parent *os.Root // holds dest
	lock   *os.File // the parent
	made   []string // directories above dest that were made for it
	begun  bool     // what stands under partial is ours
}

const partial = ".partial"

// newStagingDir waits until nobody else fetches into the same directory.
func newStagingDir(ctx context.Context, dest string) (*stagingDir, error) {
	made, err := scratch.MakeDirs(filepath.Dir(dest))
	if err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	p := &stagingDir{dest: dest, name: filepath.Base(dest), made: made}
	if p.parent, err = os.OpenRoot(filepath.Dir(dest)); err != nil {
		scratch.RemoveEmpty(made)
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if p.lock, err = lockDir(ctx, p.parent); err != nil {
		p.parent.Close()
		scratch.RemoveEmpty(made)
		return nil, err
	}
	return p, nil
}

func lockDir(ctx context.Context, dir *os.Root) (*os.File, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, fmt.Errorf("locking directory: %w", err)
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		ok, err := lockFile(f)
		if ok {
			return f, nil
		}
		if err == nil {
			select {
			case <-retry.C:
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		f.Close()
		return nil, fmt.Errorf("locking directory %q: %w", dir.Name(), err)
	}
}

// exists tells whether there is anything under the final name.
func (p *stagingDir) exists() bool {
	_, err := p.parent.Lstat(p.name)
	return !errors.Is(err, fs.ErrNotExist)
}

// begin throws away what an earlier, killed run left.
func (p *stagingDir) begin() error {
	if err := p.parent.RemoveAll(p.name + partial); err != nil {
		return fmt.Errorf("removing a half-finished release: %w", err)
	}
	p.begun = true
	return nil
}

// stands tells whether an open file or directory is what stands under a name,
// and no link to it.
func (p *stagingDir) stands(f *os.File, name string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := p.parent.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

func (p *stagingDir) swapped() error {
	return fmt.Errorf("unpacking into %q: somebody else puts other things in its place", p.dest+partial)
}

// commit gives f, which stands under partial, its name, durably.
func (p *stagingDir) commit(f *os.File) error {
	if p.exists() {
		return &DestTaken{Dest: p.dest, Err: errors.New("it appeared meanwhile")}
	}
	if !p.stands(f, p.name+partial) {
		return p.swapped()
	}
	if err := p.parent.Rename(p.name+partial, p.name); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if !p.stands(f, p.name) { // it was swapped this very moment
		return errors.Join(p.swapped(), p.parent.Rename(p.name, p.name+partial))
	}
	p.begun = false
	return p.lock.Sync()
}

// close removes what did not get its name.
func (p *stagingDir) close() {
	if p.begun {
		p.parent.RemoveAll(p.name + partial)
	}
	p.lock.Close()
	p.parent.Close()
	scratch.RemoveEmpty(p.made)
}

// discardAll is a receiver that keeps nothing.
type discardAll struct{}

func (discardAll) open(*artifact.Index) error { return nil }
func (discardAll) sink() sink                 { return discard{} }
func (discardAll) finish(*unpacker) error     { return nil }
func (discardAll) sync() error                { return nil }
func (discardAll) commit() error              { return nil }
func (discardAll) close()                     {}
