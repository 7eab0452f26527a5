package tree

import (
	"fmt"
	"path"
	"strings"
)

// DefaultExcludes lists what a build leaves out unless told otherwise:
// version control, what package managers and desktops leave behind, and
// WordPress's mutable state, which belongs to no release.
func DefaultExcludes() []string {
	return []string{
		".git", ".svn", ".hg", "node_modules",
		".DS_Store", "Thumbs.db", "__MACOSX",
		"wp-content/uploads", "wp-content/cache", "wp-content/upgrade", "wp-content/upgrade-temp-backup",
		"/web/app/uploads", "/web/app/cache", "/web/app/upgrade", "/web/app/upgrade-temp-backup",
	}
}

// Excludes decides what is left out. A pattern names the last parts of a
// path, each as path.Match reads it; with a leading slash it names the whole
// path from the tree's root. What lies below goes with it.
type Excludes struct {
	named map[string][][]string // by their last part, patterns whose last part is a plain name
	other [][]string
}

// ParseExcludes reads patterns; a pattern that means nothing is an error.
func ParseExcludes(patterns []string) (Excludes, error) {
	x := Excludes{named: map[string][][]string{}}
	for _, p := range patterns {
		clean := strings.TrimSuffix(p, "/")
		if _, err := path.Match(clean, ""); err != nil || strings.Trim(clean, "/") == "" {
			return x, fmt.Errorf("exclude pattern %q: want a path such as wp-content/cache, in which * stands for any part of a name", p)
		}
		parts := strings.Split(clean, "/")
		if last := parts[len(parts)-1]; strings.ContainsAny(last, wildcards) {
			x.other = append(x.other, parts)
		} else {
			x.named[last] = append(x.named[last], parts)
		}
	}
	return x, nil
}

// Excluded returns a function that says whether patterns leave a path of a
// tree out; it does not look at the directories above.
func Excluded(patterns []string) (func(path string) bool, error) {
	x, err := ParseExcludes(patterns)
	return x.Match, err
}

// wildcards are the characters that path.Match reads as anything but themselves.
const wildcards = `*?[\`

// Match says whether a path is left out; it does not look at those above.
func (x Excludes) Match(p string) bool {
	name := path.Base(p)
	for _, pattern := range x.named[name] {
		if matchTail(pattern, strings.Split(p, "/")) {
			return true
		}
	}
	for _, pattern := range x.other {
		// Most paths fail at their last part, without being taken apart.
		if matchPart(pattern[len(pattern)-1], name) && matchTail(pattern, strings.Split(p, "/")) {
			return true
		}
	}
	return false
}

func matchPart(pattern, part string) bool {
	if !strings.ContainsAny(pattern, wildcards) {
		return pattern == part
	}
	ok, _ := path.Match(pattern, part)
	return ok
}

func matchTail(pattern, parts []string) bool {
	if pattern[0] == "" { // a leading slash
		pattern = pattern[1:]
		if len(pattern) != len(parts) {
			return false
		}
	}
	if len(pattern) > len(parts) {
		return false
	}
	parts = parts[len(parts)-len(pattern):]
	for i, p := range pattern {
		if !matchPart(p, parts[i]) {
			return false
		}
	}
	return true
}

// Literal returns the pattern that matches a path and nothing else.
func Literal(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}
