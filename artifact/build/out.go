package build

import "fmt"

// OutInTree refuses to build into a directory of the tree itself.
type OutInTree struct{ Out string }

func (e *OutInTree) Error() string {
	return fmt.Sprintf("building into %q: the directory is part of the tree", e.Out)
}

// Hint says what to do next.
func (e *OutInTree) Hint() string { return "name an output directory outside the tree" }
