// Package source turns what a person names as a tree into a directory: a
// directory as it is, an archive unpacked, a revision of a git repository
// checked out.
//
// It knows the forms that foreign archives and repositories lie in, and
// trusts none of them: everything is staged in a directory of its own, through
// an allow-list of directories, files and links that stay inside. It refuses
// to know what a tree means: whether it is WordPress, and whether a node could
// hold it, others judge by the directory alone, so that the same content gives
// the same artifact wherever it came from.
package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/internal/scratch"
)

const gitPrefix = "git:"

// Open returns a directory that holds the tree that spec names: a directory
// itself; an archive (zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst) unpacked,
// without its one top-level directory if it has but one; or git:PATH@REV, a
// revision of a local repository, or of a directory in it. cleanup removes
// what was staged and is never nil. Nothing is left when Open fails.
//
// Errors are *Refused, or those of the file system.
func Open(ctx context.Context, spec string) (dir string, cleanup func() error, err error) {
	return open(ctx, spec, defaultLimits())
}

func open(ctx context.Context, spec string, l limits) (dir string, cleanup func() error, err error) {
	nothing := func() error { return nil }
	if rest, ok := strings.CutPrefix(spec, gitPrefix); ok {
		return stage(l, func(s *staging) error { return checkOut(ctx, s, rest) })
	}
	info, err := os.Stat(spec)
	switch {
	case err != nil:
		return "", nothing, err
	case info.IsDir():
		return spec, nothing, nil
	case !info.Mode().IsRegular():
		return "", nothing, unreadable(spec)
	}
	return stage(l, func(s *staging) error { return unpack(ctx, s, spec) })
}

// Check refuses what Open could only refuse, as far as a look tells: nothing
// is unpacked. The error wraps fs.ErrNotExist when there is nothing of that
// name.
func Check(spec string) error {
	if rest, ok := strings.CutPrefix(spec, gitPrefix); ok {
		dir, _, err := splitRevision(rest)
		if err == nil {
			_, err = os.Stat(dir)
		}
		return err
	}
	info, err := os.Stat(spec)
	switch {
	case err != nil || info.IsDir():
		return err
	case !info.Mode().IsRegular():
		return unreadable(spec)
	}
	f, err := os.Open(spec)
	if err != nil {
		return err
	}
	defer f.Close()
	is, err := identify(f)
	if err == nil && is == unknown {
		return unreadable(spec)
	}
	return err
}

func unreadable(spec string) error {
	return refuse(RuleFormat, spec, "", "is neither a directory nor an archive that can be read")
}

// In returns spec with a relative path in it taken from dir.
func In(dir, spec string) string {
	name, git := strings.CutPrefix(spec, gitPrefix)
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	if git {
		return gitPrefix + name
	}
	return name
}

// stage fills a directory of its own and returns the tree in it.
func stage(l limits, fill func(*staging) error) (dir string, cleanup func() error, err error) {
	nothing := func() error { return nil }
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return "", nothing, fmt.Errorf("staging tree: %w", err)
	}
	base, cleanup := own.Path, own.Remove
	s, err := newStaging(base, l)
	if err == nil {
		err = errors.Join(fill(s), s.root.Close())
	}
	if err != nil {
		return "", nothing, errors.Join(err, cleanup())
	}
	return filepath.Join(base, filepath.FromSlash(s.top)), cleanup, nil
}
