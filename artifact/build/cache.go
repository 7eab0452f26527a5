package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/scratch"
)

// cache remembers the last build of one tree: how its files looked and what
// was in them, and the artifact. A nil cache remembers nothing.
//
// Its files are no format: a state that is not whole, or not of this very
// encoder and planner, is ignored; an artifact that is not the state's shows
// when a frame is taken from it.
type cache struct {
	root string // holds the caches of all trees
	dir  string
}

const stateName = "state"

// scratchPrefix begins the names of directories of builds that are under way.
const scratchPrefix = ".wpbake-scratch-"

// newCache returns the cache of the tree at a resolved path.
func newCache(o Options, tree string) *cache {
	abs, err := filepath.Abs(tree)
	if o.Cache == "" || err != nil {
		return nil
	}
	if o.CacheName != "" {
		abs = o.CacheName
	}
	sum := sha256.Sum256([]byte(abs + "\x00" + o.Prefix))
	return &cache{root: o.Cache, dir: filepath.Join(o.Cache, fmt.Sprintf("%x", sum[:16]))}
}

// load returns what is remembered, which may be nothing.
func (c *cache) load() *remembered {
	none := &remembered{}
	if c == nil {
		return none
	}
	b, err := os.ReadFile(filepath.Join(c.dir, stateName))
	if err != nil {
		return none
	}
	r, ok := parseState(b)
	if !ok {
		return none
	}
	if f, err := os.Open(filepath.Join(c.dir, artifact.TarballName)); err == nil {
		r.file, r.previous = f, fetch.NewPrevious(f, r.frames)
	}
	return r
}

// file makes a file for an artifact to be remembered.
func (c *cache) file() (*scratch.Dir, *os.File, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, nil, err
	}
	own, err := scratch.New(c.dir, scratchPrefix)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(filepath.Join(own.Path, artifact.TarballName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		own.Remove()
		return nil, nil, err
	}
	return own, f, nil
}

// save remembers the release of a draft. The artifact goes first: between the two
// there is a state whose sums of frames tell that the artifact is another.
func (c *cache) save(d pending, r *remembered) error {
	if c == nil {
		return nil
	}
	if err := c.saveBoth(d, r); err != nil {
		return fmt.Errorf("remembering the build: %w", err)
	}
	return nil
}

func (c *cache) saveBoth(d pending, r *remembered) error {
	from, err := d.local()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	own, err := scratch.New(c.dir, scratchPrefix)
	if err != nil {
		return err
	}
	defer own.Remove()
	temp := own.Path
	if err := linkOrCopy(from, filepath.Join(temp, artifact.TarballName)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(temp, artifact.TarballName), filepath.Join(c.dir, artifact.TarballName)); err != nil {
		return err
	}
	info, err := os.Lstat(from) // now: a new link changes the stamp
	if err != nil {
		return err
	}
	r.artifact = tree.StampOf(info)
	if err := os.WriteFile(filepath.Join(temp, stateName), r.marshal(), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(temp, stateName), filepath.Join(c.dir, stateName)); err != nil {
		return err
	}
	c.prune(time.Now())
	return nil
}

// linkOrCopy costs nothing on one file system. Somebody who changes the file
// by the other name is noticed: every frame taken from it is compared.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// keepUnused is how long the cache of a tree is kept that nobody builds.
const keepUnused = 30 * 24 * time.Hour

var cacheName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// prune removes the caches of trees that are long gone: a CI machine checks
// out at ever new paths. What it cannot remove stays.
func (c *cache) prune(now time.Time) {
	all, err := os.ReadDir(c.root)
	if err != nil {
		return
	}
	for _, d := range all {
		if !d.IsDir() || !cacheName.MatchString(d.Name()) {
			continue
		}
		state, err := os.Lstat(filepath.Join(c.root, d.Name(), stateName))
		if errors.Is(err, fs.ErrNotExist) {
			state, err = d.Info() // a first build may be writing it
		}
		if err == nil && now.Sub(state.ModTime()) > keepUnused {
			os.RemoveAll(filepath.Join(c.root, d.Name()))
		}
	}
}
