package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// What a file begins with that stands for one in Git Large File Storage.
const lfsHeading = "version https://git-lfs.github.com/spec/"

// checkOut stages a revision of a local repository: its files as they were
// committed, byte for byte. No program is run, no hook, no filter of the
// repository's own, and nothing is fetched.
func checkOut(ctx context.Context, s *staging, spec string) error {
	s.source = gitPrefix + spec
	dir, revision, err := splitRevision(spec)
	if err != nil {
		return err
	}
	repo, below, err := openRepository(dir)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return s.refuse(RuleRevision, "", "is not in a git repository")
	}
	if err != nil {
		return fmt.Errorf("reading repository %q: %w", dir, err)
	}
	tree, err := treeAt(repo, revision, below)
	if err != nil {
		return s.refuse(RuleRevision, "", "cannot be resolved: %v", err)
	}
	c := &checkout{staging: s, repo: repo}
	if err := c.walk(ctx, tree, ""); err != nil {
		return err
	}
	return s.finish(false)
}

// splitRevision takes PATH@REV apart; a path may hold an @ as well.
func splitRevision(spec string) (dir, revision string, err error) {
	at := strings.LastIndex(spec, "@")
	if brace := strings.LastIndex(spec, "@{"); brace > 0 && strings.HasSuffix(spec, "}") { // HEAD@{1}
		at = strings.LastIndex(spec[:brace], "@")
	}
	if at < 1 || at == len(spec)-1 {
		return "", "", refuse(RuleFormat, gitPrefix+spec, "", "names no path and revision, as git:.@HEAD does")
	}
	return spec[:at], spec[at+1:], nil
}

// openRepository opens the repository at dir, or the one that dir lies in;
// below is the way from its root to dir.
func openRepository(dir string) (repo *git.Repository, below string, err error) {
	repo, err = git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if !errors.Is(err, git.ErrRepositoryNotExists) {
		return repo, ".", err
	}
	repo, err = git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return nil, "", err
	}
	work, err := repo.Worktree()
	if err != nil {
		return nil, "", err
	}
	top, err := filepath.EvalSymlinks(work.Filesystem.Root())
	if err != nil {
		return nil, "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, "", err
	}
	below, err = filepath.Rel(top, dir)
	return repo, filepath.ToSlash(below), err
}

func treeAt(repo *git.Repository, revision, below string) (*object.Tree, error) {
	hash, err := repo.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return nil, err
	}
	commit, err := repo.CommitObject(*hash)
	if err != nil {
		return nil, err
	}
	tree, err := commit.Tree()
	if err != nil || below == "." {
		return tree, err
	}
	if tree, err = tree.Tree(below); err != nil {
		return nil, fmt.Errorf("%q: %w", below, err)
	}
	return tree, nil
}

// checkout writes a revision's tree.
type checkout struct {
	*staging
	repo *git.Repository
}

func (c *checkout) walk(ctx context.Context, tree *object.Tree, rel string) error {
	for i := range tree.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &tree.Entries[i]
		name := path.Join(rel, e.Name)
		if badPath(e.Name) != "" || strings.Contains(e.Name, "/") {
			return c.refuse(RulePath, rel+"/"+e.Name, "has a name that no git repository should hold")
		}
		if err := c.entry(ctx, name, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *checkout) entry(ctx context.Context, name string, e *object.TreeEntry) error {
	switch e.Mode {
	case filemode.Dir:
		if err := c.addDir(name); err != nil {
			return err
		}
		below, err := c.repo.TreeObject(e.Hash)
		if err != nil {
			return c.missing(name, err)
		}
		return c.walk(ctx, below, name)
	case filemode.Regular, filemode.Executable, filemode.Deprecated:
		return c.blob(e, func(r io.Reader) error { return c.addFile(ctx, name, &lfsGuard{r: r, c: c, name: name}) }, name)
	case filemode.Symlink:
		return c.blob(e, func(r io.Reader) error {
			target, err := io.ReadAll(io.LimitReader(r, maxPath+1))
			if err != nil {
				return c.missing(name, err)
			}
			return c.addLink(name, string(target))
		}, name)
	case filemode.Submodule:
		return c.refuse(RuleSubmodule, name, "is a submodule, whose files are in another repository")
	default:
		return c.refuse(RuleSpecial, name, "has the mode %v", e.Mode)
	}
}

// blob hands the content of an entry over, and compares it with its name: git
// itself looks only when asked to.
func (c *checkout) blob(e *object.TreeEntry, use func(io.Reader) error, name string) error {
	b, err := c.repo.BlobObject(e.Hash)
	if err != nil {
		return c.missing(name, err)
	}
	r, err := b.Reader()
	if err != nil {
		return c.missing(name, err)
	}
	defer r.Close()
	h := plumbing.NewHasher(plumbing.BlobObject, b.Size)
	if err := use(io.TeeReader(r, h)); err != nil {
		return err
	}
	if h.Sum() != e.Hash {
		return c.refuse(RuleDamaged, name, "is not what the revision says: its object is damaged")
	}
	return nil
}

func (c *checkout) missing(name string, err error) error {
	return c.refuse(RuleDamaged, name, "cannot be read from the repository: %v", err)
}

// lfsGuard refuses a file that is only a pointer: it would be shipped in the
// place of an image.
type lfsGuard struct {
	r    io.Reader
	c    *checkout
	name string
	head []byte
}

func (g *lfsGuard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if need := len(lfsHeading) - len(g.head); need > 0 {
		g.head = append(g.head, p[:min(n, need)]...)
		if string(g.head) == lfsHeading {
			return 0, g.c.refuse(RuleLFS, g.name, "is a pointer to Git Large File Storage")
		}
	}
	return n, err
}
