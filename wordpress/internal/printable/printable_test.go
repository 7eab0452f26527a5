package printable_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		" a shop ":                          "a shop",
		"two\nlines\tand \x1b[31mcolour":    "two lines and  [31mcolour",
		"bad\xffbytes":                      "bad\uFFFDbytes",
		strings.Repeat("x", 2000):           strings.Repeat("x", printable.MaxLength),
		strings.Repeat("x", 999) + "\u00fc": strings.Repeat("x", 999), // no half of a letter
	} {
		if got := printable.Clean(in); got != want {
			t.Errorf("%.40q becomes %.40q, want %.40q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	if got := printable.Cut("shop", 4) + printable.Cut("shop", 2) + printable.Cut("", 9); got != "shopsh" {
		t.Errorf("%q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable.Clean(s)
		if !utf8.ValidString(got) || len(got) > printable.MaxLength || strings.ContainsFunc(got, unicode.IsControl) || printable.Clean(got) != got {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
