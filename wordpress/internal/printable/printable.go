// Package printable makes texts of foreign files fit for manifests, reports
// and terminals.
//
// It refuses to know what they say.
package printable

import (
	"strings"
	"unicode"
)

// MaxLength is the longest text, in bytes, that Clean returns.
const MaxLength = 1000

// Clean makes a text one line of valid UTF-8, without control characters,
// and no longer than MaxLength.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > MaxLength {
		s = strings.ToValidUTF8(s[:MaxLength], "")
	}
	return strings.TrimSpace(s)
}

// Cut returns at most the first n bytes of a text.
func Cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
