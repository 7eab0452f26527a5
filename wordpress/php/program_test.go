package php_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/wordpress/php"
)

// PHP parses what names anything it could be made to run, and runs none of it.
func TestPHPParses(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"good.php":               "<?php\nclass A { public function f(): ?int { return 1; } }\n",
		"runs.php":               "<?php\nfile_put_contents( __DIR__ . '/ran', 'x' );\nexit( 9 );\n",
		"halt.php":               "<?php\n__halt_compiler();\x00\xff<<<<<<< ",
		"empty.php":              "",
		"html.php":               "<b>no php</b>",
		"bad.php":                "<?php\n\n\nif ( {\n",
		"new\nline 'quoted'.php": "<?php\n)",
		"--version.php":          "<?php\n(",
		"prepend.ini":            "auto_prepend_file = runs.php",
		".user.ini":              "auto_prepend_file = runs.php",
		"php.ini":                "auto_prepend_file = runs.php",
	}
	var names []string
	for name, src := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".php") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	p, err := php.Open(t.Context(), tier.Program(t, "php"), dir)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := p.Parse(t.Context(), append(names, "gone.php"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range bad {
		got = append(got, e.Path)
		if e.Line < 1 || !strings.Contains(e.Message, "syntax error") && !strings.Contains(e.Message, "Unclosed") && !strings.Contains(e.Message, "Unmatched") {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"--version.php", "bad.php", "new\nline 'quoted'.php"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a file of the tree was run")
	}
}

func TestOpenPHPWantsPHP(t *testing.T) {
	for _, program := range []string{"/bin/echo", "/bin/false", "/nowhere"} {
		if p, err := php.Open(t.Context(), program, "."); err == nil {
			t.Errorf("%s passes for PHP %s", program, p.Version())
		}
	}
}
