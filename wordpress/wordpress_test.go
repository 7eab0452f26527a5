package wordpress_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

const version = `<?php
/**
 * @global string $wp_version = 'not this one';
 */
$wp_version = '7.0.3';
// $wp_db_version = 1;
$wp_db_version = 60717; # a comment
$tinymce_version = '49110-20250317';
$required_php_version = '7.4';
$required_php_extensions = array( 'json', 'hash' );
$required_mysql_version = "5.5.5";
$wp_local_package = 'de_DE';
`

// site puts a complete core below dir.
func site(dir string, more map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	files := map[string]string{
		"wp-load.php": "", "wp-settings.php": "", "wp-blog-header.php": "", "wp-admin/index.php": "",
		"wp-includes/version.php": version,
	}
	for name, content := range files {
		m[filepath.ToSlash(filepath.Join(dir, name))] = &fstest.MapFile{Data: []byte(content)}
	}
	for name, content := range more {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func TestInspect(t *testing.T) {
	core := artifact.WordPress{Core: "7.0.3", DBVersion: 60717, PHP: "7.4", MySQL: "5.5.5", Locale: "de_DE"}
	plugin := "<?php\n/*\n * Plugin Name: Cart & Till\n * Version: 2.1 */\n"
	theme := "/*\nTheme Name: Shop\n*/"
	for _, tt := range []struct {
		layout, dir, content string
	}{
		{wordpress.Classic, "", "wp-content"},
		{wordpress.OwnDirectory, "wp", "wp-content"},
		{wordpress.OwnDirectory, "cms", "cms/wp-content"},
		{wordpress.Bedrock, "web/wp", "web/app"},
	} {
		t.Run(tt.layout+" "+tt.dir, func(t *testing.T) {
			got, err := wordpress.Inspect(site(tt.dir, map[string]string{
				tt.content + "/plugins/cart/a.php":        "<?php // no header",
				tt.content + "/plugins/cart/cart.php":     plugin,
				tt.content + "/plugins/cart/inc/deep.php": "<?php // Plugin Name: Too deep",
				tt.content + "/plugins/hello.php":         "<?php // Plugin Name: Hello",
				tt.content + "/plugins/hello-x/x.php":     "<?php # Plugin Name: X ?>",
				tt.content + "/plugins/.hidden/x.php":     plugin,
				tt.content + "/plugins/readme.txt":        "Plugin Name: no",
				tt.content + "/themes/shop/style.css":     theme,
				tt.content + "/themes/broken/style.css":   "a{}",
				tt.content + "/themes/index.php":          "",
			}))
			if err != nil {
				t.Fatal(err)
			}
			want := core
			want.Layout = tt.layout
			want.Plugins = []artifact.Component{
				{Slug: "cart", Name: "Cart & Till", Version: "2.1"},
				{Slug: "hello", Name: "Hello"}, {Slug: "hello-x", Name: "X"},
			}
			want.Themes = []artifact.Component{{Slug: "shop", Name: "Shop"}}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNotWordPress(t *testing.T) {
	without := func(name string) fs.FS {
		m := site("", nil)
		delete(m, name)
		return m
	}
	two := site("a", nil)
	for name, f := range site("b", nil) {
		two[name] = f
	}
	noVersion := site("", map[string]string{"wp-includes/version.php": "<?php $wp_version = file_get_contents('x');"})
	for _, tt := range []struct {
		name string
		fsys fs.FS
		want string
	}{
		{"empty", fstest.MapFS{}, `"wp-includes/version.php" is missing`},
		{"no loader", without("wp-load.php"), `"wp-load.php" is missing`},
		{"no admin", without("wp-admin/index.php"), `"wp-admin" is missing`},
		{"computed version", noVersion, `"$wp_version in wp-includes/version.php", "$wp_db_version in wp-includes/version.php" is missing`},
		{"two", two, `more than one WordPress: "a", "b"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wordpress.Inspect(tt.fsys)
			var not *wordpress.NotWordPress
			if !errors.As(err, &not) || !strings.Contains(err.Error(), tt.want) || not.Hint() == "" {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A named pipe must not be opened: nobody will ever write into it.
func TestPipesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, site("", nil)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wp-content/plugins/pipe.php", "wp-content/themes/t/style.css"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { _, err := wordpress.Inspect(os.DirFS(dir)); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("inspecting hangs in a pipe")
	}
}
