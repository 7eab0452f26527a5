package wordpress_test

import (
	"slices"
	"testing"

	"github.com/wpbake/wpbake/wordpress"
)

func TestReadSite(t *testing.T) {
	tree := site("wp", map[string]string{
		"wp-config.php":                       "<?php define( 'WP_CONTENT_DIR', __DIR__ . '/content' );\nrequire __DIR__ . '/local.php';\n",
		"local.php":                           "<?php\n",
		"content/plugins/cart/cart.php":       "<?php\n/* Plugin Name: Cart\nRequires Plugins: pay, tax */",
		"content/plugins/hello.php":           "<?php\n// Plugin Name: Hello",
		"content/themes/shop/style.css":       "/* Theme Name: Shop\nTemplate: base */",
		"content/object-cache.php":            "<?php\n",
		"content/mu-plugins/a.php":            "<?php\n",
		"content/mu-plugins/readme.txt":       "",
		"wp/wp-content/plugins/old/old.php":   "<?php\n// Plugin Name: Old",
		"wp/wp-content/advanced-cache.php":    "<?php\n",
		"content/plugins/cart/templates/a.js": "",
	})
	s, err := wordpress.ReadSite(tree)
	if err != nil {
		t.Fatal(err)
	}
	if s.Core != "wp" || s.Content != "content" || s.WordPress.Layout != wordpress.OwnDirectory || s.Config == nil {
		t.Errorf("%+v", s)
	}
	var names []string
	for _, x := range slices.Concat(s.Plugins, s.Themes) {
		names = append(names, x.Basename())
	}
	if want := []string{"cart/cart.php", "hello.php", "shop/style.css"}; !slices.Equal(names, want) {
		t.Errorf("extensions %q, want %q", names, want)
	}
	if !slices.Equal(s.Plugins[0].Requires, []string{"pay", "tax"}) || s.Themes[0].Parent != "base" || !slices.Equal(s.Extensions, []string{"json", "hash"}) {
		t.Errorf("requirements of %+v, %+v, %q", s.Plugins, s.Themes, s.Extensions)
	}
	want := []string{
		"wp-config.php", "local.php", "content/plugins/cart/cart.php", "content/plugins/hello.php", "content/themes/shop/functions.php",
		"content/object-cache.php", "content/mu-plugins/a.php",
	}
	if got := s.LoadedEarly(); !slices.Equal(got, want) {
		t.Errorf("loaded early: %q, want %q", got, want)
	}
}

// A log of headers says what a second look needs not read.
func TestHeaderLog(t *testing.T) {
	tree := site(".", map[string]string{"wp-content/plugins/cart.php": "<?php\n// Plugin Name: Cart"})
	var first wordpress.HeaderLog
	if _, err := wordpress.ReadSiteLogged(tree, &first); err != nil || len(first.Files) != 1 || !slices.Contains(first.Dirs, "wp-content/plugins") {
		t.Fatalf("%v: %+v", err, first)
	}
	again := wordpress.HeaderLog{Known: func(_, file string) (map[string]string, bool) {
		return map[string]string{"Plugin Name": "Known"}, file == first.Files[0].File
	}}
	if s, err := wordpress.ReadSiteLogged(tree, &again); err != nil || s.Plugins[0].Name != "Known" {
		t.Errorf("%v: %+v", err, s)
	}
}

func TestSitePaths(t *testing.T) {
	below, atRoot, none := &wordpress.Site{Core: "wp"}, &wordpress.Site{Core: "."}, (*wordpress.Site)(nil)
	for _, tt := range []struct {
		site         *wordpress.Site
		path         string
		owns, serves bool
	}{
		{atRoot, "wp-admin/index.php", true, false},
		{atRoot, "wp-login.php", true, true},
		{atRoot, "wp-config.php", false, true},
		{atRoot, "info.php", false, true},
		{atRoot, "wp-content/plugins/a.php", false, false},
		{below, "wp/wp-includes/a.php", true, false},
		{below, "wp/wp-login.php", true, true},
		{below, "wp-login.php", false, true},
		{below, "wp-includes/a.php", false, false},
		{none, "wp-login.php", false, true},
		{none, "wp-admin/index.php", false, false},
	} {
		if owns, serves := tt.site.Owns(tt.path), tt.site.Serves(tt.path); owns != tt.owns || serves != tt.serves {
			t.Errorf("%s of %+v: owns %v, serves %v", tt.path, tt.site, owns, serves)
		}
	}
}
