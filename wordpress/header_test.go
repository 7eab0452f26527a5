package wordpress

import (
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
)

func TestHeaders(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"/*\nTheme Name: Shop\n*/", "Shop"},
		{"/* Theme Name: Shop */ x", "Shop"},
		{" \t<?PHP // theme name: Shop ?> x", "Shop"},
		{"/*\r\n * Theme Name: Shop\r\n */", "Shop"},
		{"#@ Theme Name:Shop", "Shop"},
		{"/* Theme Name: First\nTheme Name: Second", "First"},
		{"$x = 'Theme Name: Shop';", ""},
		{"Theme  Name: Shop", ""},
		{"Theme Name: a\x00b\xff", "a b\uFFFD"},
		{strings.Repeat("x", headerBytes) + "\nTheme Name: Late", ""},
	} {
		if got := headers([]byte(tt.src), "Theme Name")["Theme Name"]; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.src, got, tt.want)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("<?php\n/*\n * Plugin Name: Cart\n * Version: 2.1\n */")
	f.Add("Version: \xff\x00\u2028 */")
	f.Fuzz(func(t *testing.T, src string) {
		for name, value := range headers([]byte(src), "Plugin Name", "Version") {
			if len(value) > printable.MaxLength || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				t.Errorf("%s: %q does not fit a manifest", name, value)
			}
		}
	})
}
func FuzzPluginHeader(f *testing.F) {
	for _, seed := range []string{
		"<?php\n/*\n * Plugin Name: Cart\n * Version: 2.1\n * Requires PHP: 8.1\n * Requires Plugins: a, b,a,,c\n */",
		"/*\r\nTheme Name: Shop\rTemplate: parent */",
		"<?PHP # plugin name: \xff\x00\u2028 ?> x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		m := fstest.MapFS{"p/a.php": {Data: []byte(src)}, "p/b/b.php": {Data: []byte(src)}, "t/b/style.css": {Data: []byte(src)}}
		plugins, err := (&headReader{FS: m, log: &HeaderLog{}}).plugins("p")
		if err != nil {
			t.Fatal(err)
		}
		themes, err := (&headReader{FS: m, log: &HeaderLog{}}).themes("t")
		if err != nil {
			t.Fatal(err)
		}
		if len(plugins) != 0 && len(plugins) != 2 || len(themes) > 1 {
			t.Fatalf("plugins %+v, themes %+v", plugins, themes)
		}
		for _, x := range append(plugins, themes...) {
			for _, s := range append(x.Requires, x.Name, x.Version, x.PHP, x.Core, x.Parent) {
				if printable.Clean(s) != s || len(s) > printable.MaxLength {
					t.Errorf("%q does not fit into a report", s)
				}
			}
			if x.Name == "" || x.Slug == "" {
				t.Errorf("nameless: %+v", x)
			}
		}
	})
}
