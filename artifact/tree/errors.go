package tree

import (
	"errors"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
)

var treeHints = map[string]string{
	artifact.RuleLinkAbsolute: "replace the link by what it points to (cp -rL), or leave it out with --exclude",
	artifact.RuleLinkEscape:   "replace the link by what it points to (cp -rL), or leave it out with --exclude",
	artifact.RuleLinkLoop:     "remove the link, or leave it out with --exclude",
	artifact.RuleLinkDepth:    "point the link at its final target",
	artifact.RuleLinkDangling: "remove the link, or put its target into the tree",
	artifact.RuleSpecial:      "remove it, or leave it out with --exclude: only files, directories and links travel",
	artifact.RuleMode:         "chmod u-s,g-s,-t it: a release holds no privileged files",
	artifact.RuleName:         "rename it, or leave it out with --exclude",
	artifact.RuleCollision:    "rename one of the two: on other file systems they are the same file",
	artifact.RuleMount:        "unmount it, or leave it out with --exclude",
	artifact.RuleUnreadable:   "make it readable for the user who builds, or leave it out with --exclude",
	artifact.RuleDepth:        "leave it out with --exclude: such nesting is rarely meant",
	artifact.RuleEntries:      "leave mutable state out with --exclude: uploads and caches do not belong to a release",
	artifact.RuleBytes:        "leave mutable state out with --exclude: uploads and caches do not belong to a release",
}

// A Finding says that no node could hold a tree, for one path, by one rule.
type Finding struct {
	Rule   string // one of artifact's Rule constants
	Path   string // below the tree, with slashes
	Reason string
}

// Refused refuses a tree for its first finding.
type Refused struct {
	Finding
	More int // how many other paths were refused as well
}

// Refusal is nil when there are no findings.
func (t *Listing) Refusal() error {
	if len(t.Findings) == 0 {
		return nil
	}
	return &Refused{Finding: t.Findings[0], More: len(t.Findings) - 1}
}

func (e *Refused) Error() string {
	s := fmt.Sprintf("reading tree: %q %s (%s)", e.Path, e.Reason, e.Rule)
	if e.More > 0 {
		s += fmt.Sprintf(" and %d more", e.More)
	}
	return s
}

// Hint says what to do next.
func (e *Refused) Hint() string { return treeHints[e.Rule] }

// A Change is what was not, or did not stay, as a listing has it. For who reads
// a file it is an error; for who builds a tree it is a value, see ChangeIn.
type Change struct{ Path, Reason string }

func (e *Change) Error() string { return fmt.Sprintf("%q %s", e.Path, e.Reason) }

// ChangeIn tells a change of the tree from an error.
func ChangeIn(err error) (*Change, error) {
	var c *Change
	if errors.As(err, &c) {
		return c, nil
	}
	return nil, err
}

// MaxReads is how often a tree is read before it is refused for not holding
// still.
const MaxReads = 3

// Unsteady refuses a tree that would not hold still while it was read.
type Unsteady struct {
	Path   string // what changed last
	Reason string
	Reads  int // how often the tree was read
}

func (e *Unsteady) Error() string {
	return fmt.Sprintf("reading tree: %q %s while it was read, in each of %d reads (tree/changed)", e.Path, e.Reason, e.Reads)
}

// Hint says what to do next.
func (e *Unsteady) Hint() string {
	return "stop what writes into the tree, or leave it out with --exclude"
}
