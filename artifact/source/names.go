package source

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A path longer than this fits no tree.
const maxPath = 2048

// badPath says what is wrong with the path of an entry, or nothing.
func badPath(p string) string {
	switch {
	case len(p) > maxPath:
		return "has a path longer than 2048 bytes"
	case !utf8.ValidString(p):
		return "has a path that is not UTF-8"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "has a control character in its path"
	case strings.Contains(p, `\`):
		return "has a backslash in its path"
	case strings.HasPrefix(p, "/"):
		return "has an absolute path"
	case len(p) >= 2 && p[1] == ':':
		return "has a path with a drive letter"
	}
	for name := range strings.SplitSeq(p, "/") {
		switch {
		case name == "..":
			return "has a path that leads upwards"
		case name == "" || name == ".":
			return "has a path with an empty part"
		case len(name) > 255:
			return "has a name longer than 255 bytes"
		}
	}
	return ""
}

// plainName takes off what packers add to an honest path: a leading ./, and
// the slash behind a directory. The archive's own root comes out empty.
func plainName(name string) string {
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if name == "." {
		return ""
	}
	return strings.TrimSuffix(name, "/")
}
