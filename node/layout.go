package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

const (
	releasesDir = "releases"
	currentLink = "current"
	lockFile    = "boot.lock"
	lockPause   = 200 * time.Millisecond
)

// layout is where things stand below a node's root.
type layout struct{ root string }

func (l layout) releases() string                 { return filepath.Join(l.root, releasesDir) }
func (l layout) release(d artifact.Digest) string { return filepath.Join(l.releases(), d.Short()) }
func (l layout) current() string                  { return filepath.Join(l.root, currentLink) }

// Misplaced says that something stands where only wpbake puts things. It is
// left as it was found.
type Misplaced struct {
	Path string
	What string
}

func (e *Misplaced) Error() string { return fmt.Sprintf("%q is %s", e.Path, e.What) }

// Hint says what to do about it.
func (e *Misplaced) Hint() string { return "look at it, and move it away if nobody needs it" }

// prepare makes the root and refuses one that is not laid out as wpbake does.
func (l layout) prepare() error {
	if err := os.MkdirAll(l.root, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(l.releases(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := realDirectory(l.releases()); err != nil {
		return err
	}
	_, err := l.running()
	return err
}

// running is the name of the directory that current points to, "" when there
// is no link yet. A real directory, a link to anywhere but a release, or a
// release that is itself a link was placed by somebody else.
func (l layout) running() (string, error) {
	fi, err := os.Lstat(l.current())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if fi.Mode().Type() != fs.ModeSymlink {
		return "", &Misplaced{l.current(), "no link"}
	}
	target, err := os.Readlink(l.current())
	if err != nil {
		return "", err
	}
	name := filepath.Base(target)
	if target != filepath.Join(releasesDir, name) && target != filepath.Join(l.releases(), name) {
		return "", &Misplaced{l.current(), fmt.Sprintf("a link to %q, which is no release here", target)}
	}
	if err := realDirectory(filepath.Join(l.releases(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// point makes current the link to a release, in one step.
func (l layout) point(d artifact.Digest) error {
	if _, err := l.running(); err != nil {
		return err
	}
	next := l.current() + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(releasesDir, d.Short()), next); err != nil {
		return err
	}
	if err := os.Rename(next, l.current()); err != nil {
		return err
	}
	return syncDir(l.root)
}

// lock waits for other boots on this node to end. The file stays: removing it
// would let two boots lock two files of one name.
func (l layout) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(l.root, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) && pause(ctx, lockPause) == nil {
			continue
		}
		f.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("waiting for another boot of this node: %w", ctx.Err())
		}
		return nil, fmt.Errorf("locking %q: %w", f.Name(), err)
	}
}

// prune removes everything in releases but the named directories and the one
// that runs, and what belongs to no release that stays. The caller holds the lock, so no staging directory is in use.
func (l layout) prune(keep []string) error {
	running, err := l.running()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(l.releases())
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
			failed = append(failed, l.dropRelease(e.Name()))
		}
	}
	return errors.Join(append(failed, l.dropFiles(kept))...)
}
