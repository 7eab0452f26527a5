// Package disk is what a node keeps below its root, and how a release gets its
// place there:
//
//	releases/<digest12>/wordpress   a verified tree; read-only by agreement, or by the kernel where
//	                                an image is mounted
//	images/<digest12>.erofs, .json  the image and its manifest
//	images/<digest12>.volume        which release volume is mounted instead
//	artifacts/<digest12>.tar.zst    what the next release is fetched with the help of; never trusted
//	current -> releases/<digest12>  the docroot's parent, replaced by rename
//	boots.json                      which releases booted here, newest first
//	boot.lock                       held (flock) while a boot runs
//
// A directory in releases is complete, an empty place for a mount, or not
// there; images and directories are made under another name and renamed. An
// image is verified each time before it is mounted. So a crash at any moment
// leaves current at the old tree, at the new tree, or absent.
//
// It knows files, mounts and what an artifact's manifest says of them. It
// refuses to know where a release comes from, and which one ought to run.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/wait"
)

// Folders and files below the root.
const (
	ReleasesDir  = "releases"
	ImagesDir    = "images"
	ArtifactsDir = "artifacts"
	CurrentLink  = "current"

	lockFile  = "boot.lock"
	lockPause = 200 * time.Millisecond
)

// Disk is what stands below a node's root.
type Disk struct{ root string }

// At is the disk below a root. Nothing is looked at yet.
func At(root string) Disk { return Disk{root} }

// Root is where all of it stands.
func (d Disk) Root() string { return d.root }

// Current is the link to the release that serves.
func (d Disk) Current() string { return filepath.Join(d.root, CurrentLink) }

// Release is the place of the release with this manifest.
func (d Disk) Release(manifest artifact.Digest) Release { return Release{d, manifest.Short()} }

// Named is the place of a release by its name on this disk.
func (d Disk) Named(name string) Release { return Release{d, name} }

func (d Disk) releases() string { return filepath.Join(d.root, ReleasesDir) }

// Misplaced says that something stands where only wpbake puts things. It is
// left as it was found.
type Misplaced struct {
	Path string
	What string
}

func (e *Misplaced) Error() string { return fmt.Sprintf("%q is %s", e.Path, e.What) }

// Hint says what to do about it.
func (e *Misplaced) Hint() string { return "look at it, and move it away if nobody needs it" }

// Prepare makes the root and refuses one that is not laid out as wpbake does.
func (d Disk) Prepare() error {
	if err := os.MkdirAll(d.root, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(d.releases(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := realDirectory(d.releases()); err != nil {
		return err
	}
	_, err := d.Running()
	return err
}

// MakeRoom makes the folders that a release is fetched into.
func (d Disk) MakeRoom() error {
	for _, dir := range []string{ImagesDir, ArtifactsDir} {
		if err := os.MkdirAll(filepath.Join(d.root, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Running is the name of the release that current points to, "" when there is
// no link yet. A real directory, a link to anywhere but a release, or a release
// that is itself a link was placed by somebody else.
func (d Disk) Running() (string, error) {
	fi, err := os.Lstat(d.Current())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if fi.Mode().Type() != fs.ModeSymlink {
		return "", &Misplaced{d.Current(), "no link"}
	}
	target, err := os.Readlink(d.Current())
	if err != nil {
		return "", err
	}
	name := filepath.Base(target)
	if target != filepath.Join(ReleasesDir, name) && target != filepath.Join(d.releases(), name) {
		return "", &Misplaced{d.Current(), fmt.Sprintf("a link to %q, which is no release here", target)}
	}
	if err := realDirectory(filepath.Join(d.releases(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return name, nil
}

func realDirectory(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &Misplaced{path, "no directory"}
	}
	return nil
}

// Point makes current the link to a release, in one step.
func (d Disk) Point(r Release) error {
	if _, err := d.Running(); err != nil {
		return err
	}
	next := d.Current() + ".next"
	if err := Remove(next); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(ReleasesDir, r.name), next); err != nil {
		return err
	}
	if err := os.Rename(next, d.Current()); err != nil {
		return err
	}
	return syncDir(d.root)
}

// Lock waits for other boots on this node to end. The file stays: removing it
// would let two boots lock two files of one name.
func (d Disk) Lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.root, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for range wait.Every(ctx, lockPause) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
	}
	f.Close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("waiting for another boot of this node: %w", ctx.Err())
	}
	return nil, fmt.Errorf("locking %q: %w", f.Name(), err)
}

// Releases are the names of those that stand here, without staging directories.
func (d Disk) Releases() ([]string, error) {
	entries, err := os.ReadDir(d.releases())
	if err != nil {
		return nil, fmt.Errorf("looking for releases: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && !strings.Contains(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Prune removes every release but the named ones and the one that runs, and
// what belongs to no release that stays. The caller holds the lock, so no
// staging directory is in use.
func (d Disk) Prune(keep []string) error {
	running, err := d.Running()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(d.releases())
	if err != nil {
		return err
	}
	kept := map[string]bool{running: true}
	for _, name := range keep {
		kept[name] = true
	}
	var failed []error
	for _, e := range entries {
		if !kept[e.Name()] {
			failed = append(failed, d.Named(e.Name()).drop())
		}
	}
	return errors.Join(append(failed, d.pruneFiles(kept))...)
}

// pruneFiles removes images and artifacts of releases that are not kept, and
// what killed boots left of any.
func (d Disk) pruneFiles(kept map[string]bool) error {
	var failed []error
	for _, dir := range []string{ImagesDir, ArtifactsDir} {
		entries, err := os.ReadDir(filepath.Join(d.root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		for _, e := range entries {
			name, rest, _ := strings.Cut(e.Name(), ".")
			if !kept[name] || strings.HasSuffix(rest, ".partial") {
				failed = append(failed, os.RemoveAll(filepath.Join(d.root, dir, e.Name())))
			}
		}
	}
	return errors.Join(failed...)
}
