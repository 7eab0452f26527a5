package artifact

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits of a tree; a node enforces the same ones.
const (
	maxName    = 255
	MaxPath    = 2048
	MaxDepth   = 64
	MaxEntries = 500_000
	MaxBytes   = 64 << 30
)

// BadName says what is wrong with one part of a path, or nothing.
func BadName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is no name"
	case len(name) > maxName:
		return "has a name longer than 255 bytes"
	case !utf8.ValidString(name):
		return "has a name that is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character in its name"
	case strings.Contains(name, `\`):
		return "has a backslash in its name"
	case strings.HasPrefix(name, ".wh."):
		return "has a name that container images read as a deletion"
	}
	return ""
}

// BadPath says what is wrong with a whole path, or nothing.
func BadPath(p string) string {
	if len(p) > MaxPath {
		return "has a path longer than 2048 bytes"
	}
	depth := 0
	for name := range strings.SplitSeq(p, "/") {
		if reason := BadName(name); reason != "" {
			return reason
		}
		if depth++; depth > MaxDepth {
			return "is nested deeper than 64 directories"
		}
	}
	return ""
}

// Collisions finds paths that a file system without regard to case, or to the
// form of accents, takes for one. A nil one finds none.
type Collisions struct {
	seen map[string]string
	fold cases.Caser
}

// NewCollisions finds collisions among what is added from now on.
func NewCollisions() *Collisions {
	return &Collisions{seen: make(map[string]string), fold: cases.Fold()}
}

// MayCollide is false for names that are told apart by every file system.
func MayCollide(names []string) bool {
	return slices.ContainsFunc(names, func(s string) bool { return !isASCII(s) || strings.ToLower(s) != s })
}

// Add returns an earlier path that p collides with, or nothing.
func (c *Collisions) Add(p string) string {
	if c == nil {
		return ""
	}
	key := p
	if isASCII(p) {
		key = strings.ToLower(p)
	} else {
		key = norm.NFD.String(c.fold.String(norm.NFD.String(p)))
	}
	if earlier, ok := c.seen[key]; ok {
		return earlier
	}
	c.seen[key] = p
	return ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
