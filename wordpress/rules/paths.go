package rules

import (
	"path"
	"slices"
	"strings"
)

func oneOf(s string, list ...string) bool { return slices.Contains(list, s) }

// contentOf splits a path below a directory of content by its last such
// directory: wp-content wherever it is, or Bedrock's web/app.
func contentOf(p string) (sub string, ok bool) {
	if sub, ok := strings.CutPrefix(p, "web/app/"); ok {
		return sub, true
	}
	if sub, ok := strings.CutPrefix(p, "wp-content/"); ok {
		return sub, true
	}
	if i := strings.LastIndex(p, "/wp-content/"); i >= 0 {
		return p[i+len("/wp-content/"):], true
	}
	return "", false
}

// inExtension reports whether a path is inside a plugin or a theme.
func inExtension(p string) bool {
	sub, ok := contentOf(p)
	if !ok {
		return false
	}
	kind, rest, _ := strings.Cut(sub, "/")
	return oneOf(kind, "plugins", "themes", "mu-plugins") && strings.Contains(rest, "/")
}

// inVendor reports whether a path is of a package manager, or of tests.
func inVendor(p string) bool {
	for part := range strings.SplitSeq(path.Dir(p), "/") {
		if oneOf(part, "vendor", "vendor-prefixed", "node_modules", "tests", "test", "third-party", "lib-vendor") {
			return true
		}
	}
	return false
}
