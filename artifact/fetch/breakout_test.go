package fetch_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact/artifacttest"
)

// breakouts are entries in the shapes that unpackers were broken out of with:
// a link and something that goes through it, over it or beside it, for links
// that lead out in every way, and names that do so by themselves.
func breakouts() map[string]string {
	all := map[string]string{}
	targets := []string{
		"/", "/tmp", "//tmp", "..", "../..", "../../sentinel", "../sentinel", "../../../../../../../../tmp", "a/../../..", "./../..", "a/./../../sentinel",
		"../.wpbake", "../../p/d/wordpress", "../wordpress/../../sentinel", `..\..\sentinel`, "", ".", "\x00",
	}
	for _, target := range targets {
		for name, shape := range map[string]string{
			"alone":                    "l l -> T",
			"file through it":          "l l -> T\nf 3 l/s",
			"directory through it":     "l l -> T\nd l/s",
			"link through it":          "l l -> T\nl l/s -> x",
			"file over it":             "l l -> T\nf 3 l",
			"directory over it":        "l l -> T\nd l",
			"link over it":             "l l -> T\nl l -> a",
			"it over a directory":      "d l\nl l -> T",
			"deeper":                   "d a\nl a/l -> T/..\nf 3 a/l/s",
			"in two steps":             "l l -> T\nl m -> l",
			"in two steps, and a file": "l l -> T\nl m -> l/x\nf 3 m/s",
			"by another spelling":      "l L -> T\nf 3 l/s",
		} {
			if target == "." && name == "deeper" {
				continue // that is a, from a/./..
			}
			all[fmt.Sprintf("%s: %q", name, target)] = strings.ReplaceAll(shape, "T", target)
		}
	}
	for _, name := range []string{
		"/tmp/s", "//tmp/s", "../s", "../../sentinel/s", "a/../../s", "a/../s", "./s", ".", "..", "", "a//s", "a/", "a/.", "a/..", `..\s`, `C:\s`, `\\host\s`,
		"a\x00b", "a\nb", "\u202e\x7f", "a\xff", ".wh.s", "a/.wh..wh..opq", "../.wpbake/SHA256SUMS", "../wordpress2/s",
	} {
		all[fmt.Sprintf("file %q", name)] = "d a\nf 3 " + name
		all[fmt.Sprintf("directory %q", name)] = "d a\nd " + name
		all[fmt.Sprintf("link %q", name)] = "d a\nl " + name + " -> a"
	}
	return all
}

// No release breaks out, whoever signed it: each is refused before anything
// has been written, and is no more once it was.
func TestBreakouts(t *testing.T) {
	top := artifacttest.InMemory(t)
	outside := artifacttest.OutsideOf(t, top)
	before := artifacttest.Looks(t, outside, true)
	for name, text := range breakouts() {
		r, ok := artifacttest.ParseRecipe(text)
		if !ok {
			t.Fatal(name)
		}
		c, ok := r.Cook([]byte("x"), 60000)
		if !ok {
			continue // a tar cannot even say it
		}
		s := c.Sign(artifacttest.SpoiltNothing, nil, 0)
		for _, how := range extractors() {
			_, err := how.extract(t, s, filepath.Join(top, "p", "d"))
			if err == nil {
				t.Errorf("%s: unpacked as a %s", name, how.name)
			}
			artifacttest.Refusal(t, err)
		}
	}
	if after := artifacttest.Looks(t, outside, true); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
	if got := artifacttest.Looks(t, top, false); strings.Count(got, "\n") != strings.Count(before, "\n")+1 {
		t.Errorf("there is more than outside:\n%s", got)
	}
}
