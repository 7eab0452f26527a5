package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

func TestGroupOf(t *testing.T) {
	for p, want := range map[string]string{
		"index.php":                            "top",
		"wp-includes/version.php":              "wp-includes",
		"wp-content/plugins/cart/a/b.php":      "wp-content/plugins/cart",
		"wp-content/plugins/hello.php":         "wp-content",
		"wp-content/mu-plugins/loader/a.php":   "wp-content/mu-plugins/loader",
		"wp-content/plugins/cart/themes/x.php": "wp-content/plugins/cart",
	} {
		if got := groupOf(p); got != want {
			t.Errorf("%s is of %q, want %q", p, got, want)
		}
	}
}

func TestSayChanges(t *testing.T) {
	file := func(size int64) *artifact.Entry { return &artifact.Entry{Kind: "file", Size: size, Digest: "sha256:1"} }
	folder := &artifact.Entry{Kind: "directory"}
	changes := []artifact.Change{
		{Path: "index.php", Before: file(10), After: file(2048)},
		{Path: "wp-content/plugins/cart", After: folder},
		{Path: "wp-content/plugins/cart/cart.php", After: file(5)},
		{Path: "wp-content/plugins/cart/link", Before: file(7), After: &artifact.Entry{Kind: "symlink", Target: "cart.php"}},
		{Path: "wp-content/uploads", Before: folder},
	}
	for i := range listedChanges + 1 {
		changes = append(changes, artifact.Change{Path: fmt.Sprintf("wp-includes/%02d.php", i), Before: file(1)})
	}
	out, got := recorder()
	sayChanges(out, changes, false)
	want := `top: 1 changed, 10 B → 2.0 KiB
  ~ index.php 10 B → 2.0 KiB
wp-content/plugins/cart: 1 added, 1 changed, 7 B → 5 B
  + wp-content/plugins/cart/cart.php 5 B
  ~ wp-content/plugins/cart/link 7 B → link to "cart.php"
wp-content: 1 removed, 0 B → 0 B
  - wp-content/uploads directory
wp-includes: 21 removed, 21 B → 0 B
  --all lists them
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	out, got = recorder()
	sayChanges(out, changes, true)
	if n := strings.Count(got.String(), "\n  - wp-includes/"); n != listedChanges+1 {
		t.Errorf("--all lists %d", n)
	}
}

func TestWordPressLine(t *testing.T) {
	for want, x := range map[string]wordpress.Change{
		"core 6.8.2 → 6.8.3":                               {Kind: "core", Change: "changed", Before: "6.8.2", After: "6.8.3"},
		"plugin cart 2.1 removed (active in the database)": {Kind: "plugin", Slug: "cart", Change: "removed", Before: "2.1", Active: true},
		"theme shop added":                                 {Kind: "theme", Slug: "shop", Change: "added"},
		"plugin cart - → 2.1":                              {Kind: "plugin", Slug: "cart", Change: "changed", After: "2.1"},
		"mu-plugins changed: 1 file":                       {Kind: "mu-plugins", Change: "changed", Files: 1},
		"assets removed: 3 files; while both versions serve, pages of one ask nodes of the other for them": {Kind: "assets", Change: "removed", Files: 3},
	} {
		if got := wordPressLine(x); got != want {
			t.Errorf("%+v reads %q, want %q", x, got, want)
		}
	}
}

func TestSayUpstream(t *testing.T) {
	for want, u := range map[string]*wordpress.Upstream{
		"": nil,
		"upstream: WordPress is as its checksums say\n":                                          {},
		"a.php: differs from upstream\nb.php: missing, is in upstream\nc.php: not in upstream\n": {Differ: []string{"a.php"}, Missing: []string{"b.php"}, Extra: []string{"c.php"}},
	} {
		out, got := recorder()
		sayUpstream(out, u)
		if got.String() != want {
			t.Errorf("%+v reads %q, want %q", u, got, want)
		}
	}
}
