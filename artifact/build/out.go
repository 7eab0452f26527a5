package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wpbake/wpbake/artifact/tree"
)

// OutInTree refuses to build into a directory of the tree itself.
type OutInTree struct{ Out string }

func (e *OutInTree) Error() string {
	return fmt.Sprintf("building into %q: the directory is part of the tree", e.Out)
}

// Hint says what to do next.
func (e *OutInTree) Hint() string { return "name an output directory outside the tree" }

// excludeOut leaves the output out when it lies in the tree, or every build
// would hold the ones before it. A directory that holds anything else is part
// of the tree and is refused: leaving it out would ship half a tree.
func excludeOut(patterns []string, root, out string) ([]string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(out); err == nil {
		out = real
	}
	rel, err := filepath.Rel(root, out)
	switch {
	case err != nil || !filepath.IsLocal(rel):
		return patterns, nil
	case rel == "." || holdsMore(out):
		return nil, &OutInTree{Out: out}
	}
	return append(slices.Clone(patterns), "/"+tree.Literal(filepath.ToSlash(rel))), nil
}

// holdsMore reports whether a directory holds more than builds.
func holdsMore(out string) bool {
	entries, err := os.ReadDir(out)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "releases" })
}
