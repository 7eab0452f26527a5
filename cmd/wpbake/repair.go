package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/internal/scratch"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// copyNeeded ends a build of a tree that a release holds otherwise: with
// repaired files, or with assets of the release before.
type copyNeeded struct{ report examined }

func (e *copyNeeded) Error() string { return "the release differs from the tree" }

// repairs reports whether files are to be repaired.
func (e examined) repairs() bool { return len(e.Repairs.Replace) > 0 }

// cacheKey names all that a tree is judged on, so that a remembered judgement
// holds for the same ones only.
func cacheKey(o buildOptions, program string) string {
	if program == "" {
		return ""
	}
	node := artifact.DigestOf(nil)
	if o.check.Node != "" {
		node = nodeDigest(o.check.Node)
	}
	return artifact.DigestOf(fmt.Appendf(nil, "%s\n%#v\n%#v\n%q\n%s\n%q\n%v", program, o.check, o.waivers, o.exclude, node, phpStamps(o.check), o.carried.Files)).Short()
}

// nodeDigest tells configurations of nodes apart, by names, sizes and times.
func nodeDigest(dir string) artifact.Digest {
	var list []byte
	fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			list = fmt.Appendf(list, "%q %v\n", p, err)
			return nil
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			list = fmt.Appendf(list, "%q %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return artifact.DigestOf(list)
}

// fromRepaired builds a copy of the tree in dir that has the repairs, and what
// is carried over. The tree
// itself is never written to.
func (b builder) fromRepaired(ctx context.Context, o buildOptions, dir string, e examined, run func(build.Options) error) (err error) {
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Remove()) }()
	copied := filepath.Join(own.Path, "tree")
	if err := copyRepaired(ctx, dir, copied, e.Repairs, o.exclude); err != nil {
		return fmt.Errorf("copying tree %q: %w", o.tree, err)
	}
	if o.carry != nil {
		if err := fetch.Extract(ctx, o.carry.store, o.carry.manifest, o.carried.Files, copied); err != nil {
			return fmt.Errorf("carrying over assets: %w", err)
		}
	}
	options := b.building(o, copied)
	options.Describe = &build.Describer{Describe: func(_ context.Context, tree fs.FS, _ build.Remembered) (build.Description, error) {
		site, err := wordpress.Inspect(tree)
		if err != nil {
			return build.Description{}, fmt.Errorf("reading tree %q: %w", o.tree, err)
		}
		return describe(o, tree, site)
	}}
	options.Cache = "" // a copy has new stamps each time
	return run(options)
}

// copyRepaired copies what an artifact of a tree would hold.
func copyRepaired(ctx context.Context, from, to string, r rules.Repairs, exclude []string) error {
	match, err := tree.Excluded(append(rules.NeverShipped(), exclude...))
	if err != nil {
		return err
	}
	return fs.WalkDir(os.DirFS(from), ".", func(p string, d fs.DirEntry, err error) error {
		target := filepath.Join(to, filepath.FromSlash(p))
		content, replaced := r.Replace[p]
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case p != "." && match(p):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case replaced:
			return os.WriteFile(target, content, 0o644)
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type() == fs.ModeSymlink:
			return copyLink(filepath.Join(from, filepath.FromSlash(p)), target)
		case !d.Type().IsRegular():
			return fmt.Errorf("%q is no file", path.Base(p))
		}
		return copyFile(filepath.Join(from, filepath.FromSlash(p)), target)
	})
}

func copyLink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
