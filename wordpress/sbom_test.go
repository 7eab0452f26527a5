package wordpress_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/wordpress"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSBOM(t *testing.T) {
	tree := site("web/wp", map[string]string{
		"web/app/plugins/cart/cart.php":                         "<?php\n/*\nPlugin Name: Cart & <Till>\nVersion: 2.1\n*/",
		"web/app/plugins/cart/vendor/composer/installed.json":   `[{"name": "Old/One", "version": "dev-main#ü", "license": "GPL-2.0-or-later"}]`,
		"web/app/plugins/cart.php":                              "<?php\n// Plugin Name: Cart, the older one\n",
		"web/app/plugins/broken/broken.php":                     "<?php\n// Plugin Name: Broken\n",
		"web/app/plugins/broken/vendor/composer/installed.json": `{"packages": [{"version": "1"}]}`,
		"web/app/themes/shop/style.css":                         "/*\nTheme Name: Shop\nVersion: 1.0\n*/",
		"vendor/composer/installed.json": `{"packages": [
			{"name": "wpackagist-plugin/cart", "version": "2.1.0", "type": "wordpress-plugin"},
			{"name": "psr/log", "version": "3.0.2", "license": ["MIT", ""]},
			{"name": "psr/log", "version": "9", "license": 7}], "dev": true}`,
	})
	w, err := wordpress.Inspect(tree)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wordpress.SBOM(tree, "v42", w)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "sbom.golden.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("run go test ./wordpress -update, and read the difference:\n%s", d)
	}
	checkRefs(t, strings.NewReader(string(got)))
}

// checkRefs reads a bill of materials as others do: references are unique.
func checkRefs(t *testing.T, r io.Reader) {
	t.Helper()
	var b cdx.BOM
	if err := cdx.NewBOMDecoder(r, cdx.BOMFileFormatJSON).Decode(&b); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range *b.Components {
		if seen[c.BOMRef] || c.Name == "" {
			t.Errorf("%q is there twice, or has no name", c.BOMRef)
		}
		seen[c.BOMRef] = true
	}
}

func FuzzInstalled(f *testing.F) {
	f.Add(`{"packages": [{"name": "psr/log", "version": "3.0.2", "license": ["MIT"]}]}`)
	f.Add(`[{"name": "a/b/c", "license": "x"}, {"name": "\u0000"}]`)
	f.Fuzz(func(t *testing.T, installed string) {
		tree := site("", map[string]string{"vendor/composer/installed.json": installed})
		w, err := wordpress.Inspect(tree)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wordpress.SBOM(tree, "v1", w)
		if err != nil {
			t.Fatal(err)
		}
		checkRefs(t, strings.NewReader(string(b)))
	})
}
