package wordpress_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

func TestPartOf(t *testing.T) {
	for p, want := range map[string]string{
		"wp-admin/index.php":                       "core",
		"wp/wp-includes/version.php":               "core",
		"wp-login.php":                             "core",
		"xmlrpc.php":                               "core",
		"wp-config.php":                            "other",
		"index.php":                                "other",
		"wp-content/plugins/cart/inc/cart.php":     "plugin cart",
		"wp-content/plugins/hello.php":             "plugin hello",
		"web/app/themes/shop/style.css":            "theme shop",
		"app/themes/shop/style.css":                "other", // Bedrock's is below web
		"wp-content/mu-plugins/a/b.php":            "mu-plugins",
		"wp-content/object-cache.php":              "drop-in object-cache.php",
		"wp-content/index.php":                     "content",
		"wp-content/uploads/2026/a.jpg":            "content",
		"wp-content/themes/shop/wp-content/x.php":  "theme shop",
		"wp-content/plugins/cart/wp-admin/x.php":   "plugin cart",
		"vendor/acme/wp-content/plugins/a/b/c.php": "plugin a",
	} {
		part := wordpress.PartOf(p)
		if got := strings.TrimSpace(part.Kind + " " + part.Slug); got != want {
			t.Errorf("%s is of %q, want %q", p, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	component := func(slug, version string) artifact.Component { return artifact.Component{Slug: slug, Version: version} }
	before := &artifact.WordPress{Core: "6.8", DBVersion: 60421, PHP: "7.4", Plugins: []artifact.Component{component("cart", "1"), component("gone", "2"), component("same", "3")}}
	after := &artifact.WordPress{Core: "6.9", DBVersion: 60421, PHP: "7.4", Plugins: []artifact.Component{component("cart", "2"), component("new", "1"), component("same", "3")}}
	file := func(p string, stays bool) artifact.Change {
		c := artifact.Change{Path: p, Before: &artifact.Entry{Kind: "file"}}
		if stays {
			c.After = c.Before
		}
		return c
	}
	files := []artifact.Change{
		file("wp-login.php", true), file("wp-content/plugins/cart/cart.php", true), file("wp-content/plugins/cart/app.js", false),
		file("wp-content/db.php", true), file("wp-content/mu-plugins/a.php", true),
		{Path: "wp-content/plugins/cart", Before: &artifact.Entry{Kind: "directory"}, After: &artifact.Entry{Kind: "directory"}},
	}
	var got []string
	for _, c := range wordpress.Changes(before, after, files, func(c wordpress.Change) bool { return c.Slug == "cart" }) {
		line := fmt.Sprintf("%s %s %s %q %q %d", c.Kind, c.Slug, c.Change, c.Before, c.After, c.Files)
		if c.Active {
			line += " active"
		}
		got = append(got, line)
	}
	want := []string{
		`core  changed "6.8" "6.9" 1`,
		`plugin cart changed "1" "2" 2 active`,
		`plugin gone removed "2" "" 0`,
		`plugin new added "" "1" 0`,
		`mu-plugins  changed "" "" 1`,
		`drop-in db.php changed "" "" 1`,
		`assets  removed "" "" 1`,
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("changes\n%s\nwant\n%s", g, w)
	}
	never := func(wordpress.Change) bool { return false }
	if got := wordpress.Changes(nil, nil, nil, never); len(got) > 0 || got == nil {
		t.Errorf("of nothing: %v", got)
	}
}
