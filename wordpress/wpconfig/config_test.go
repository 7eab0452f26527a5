package wpconfig

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/wpbake/wpbake/internal/tier"

	"github.com/wpbake/wpbake/wordpress/php"
)

// read reads a wp-config.php beside files of the tree.
func read(t testing.TB, src string, more ...string) *Config {
	t.Helper()
	m := fstest.MapFS{"wp-config.php": {Data: []byte(src)}}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	c, err := Read(m, "wp-config.php", ".")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// told writes a constant's value: its kind and text, a path of the tree as
// {tree}.
func told(c *Config, name string) string {
	k, ok := c.Get(name)
	switch {
	case !ok:
		return "none"
	case k.Value.Kind == php.Unknown:
		return "unknown"
	case k.Value.Tree:
		return "{tree}" + k.Value.Text
	}
	return [...]string{"", "string ", "bool ", "number ", "null "}[k.Value.Kind] + k.Value.Text
}

func TestConfigValues(t *testing.T) {
	for src, want := range map[string]string{
		`define( 'A', 'x' );`:                                                      "string x",
		`define("A", "x");`:                                                        "string x",
		`\define( 'A', 'x', true );`:                                               "string x",
		`DEFINE( 'A', 'x' );`:                                                      "string x",
		`@define( 'A', 'x' );`:                                                     "string x",
		`const A = 'x';`:                                                           "string x",
		`const B = 1, A = 'x';`:                                                    "string x",
		`Config::define( 'A', 'x' );`:                                              "string x",
		`\Roots\WPConfig\Config::define('A', 'x');`:                                "string x",
		`define( 'A', 'it\'s' );`:                                                  "string it's",
		`define( 'A', "a\"b" );`:                                                   `string a"b`,
		`define( 'A', TRUE );`:                                                     "bool 1",
		`define( 'A', !true );`:                                                    "bool ",
		`define( 'A', null );`:                                                     "null ",
		`define( 'A', 0x10 );`:                                                     "number 16",
		`define( 'A', -3 );`:                                                       "number -3",
		`define( 'A', ( 'x' . 'y' ) . "z" );`:                                      "string xyz",
		`define( 'B', 'b' ); define( 'A', B . 'a' );`:                              "string ba",
		`define( 'A', __DIR__ . '/wp-content' );`:                                  "{tree}/wp-content",
		`define( 'A', dirname( __FILE__ ) . '/c' );`:                               "{tree}/c",
		`define( 'A', dirname( __DIR__, 2 ) . '/c' );`:                             "{tree}/../../c",
		`define( 'A', ABSPATH . 'c' );`:                                            "{tree}/c",
		"define( 'A', <<<X\nx\ny\nX\n);":                                           "string x\ny",
		"define( 'A', <<<'X'\n$x\n  X\n);":                                         "string $x",
		"define( 'A', <<<X\n$x\nX\n);":                                             "unknown",
		`define( 'A', "x$y" );`:                                                    "unknown",
		"define( 'A', `id` );":                                                     "unknown",
		`define( 'A', getenv( 'A' ) );`:                                            "unknown",
		`define( 'A', getenv( 'A' ) ?: 'x' );`:                                     "unknown",
		`define( 'A', $x );`:                                                       "unknown",
		`define( 'A', 1 + 1 );`:                                                    "unknown",
		`define( 'A', 'x' . f() );`:                                                "unknown",
		`define( 'A', [ 'x' ] );`:                                                  "unknown",
		`define( $a, 'x' );`:                                                       "none",
		`undefine( 'A', 'x' );`:                                                    "none",
		`$x->define( 'A', 'x' );`:                                                  "none",
		`Other::define( 'A', 'x' );`:                                               "none",
		`// define( 'A', 'x' );`:                                                   "none",
		`# define( 'A', 'x' );`:                                                    "none",
		`/* define( 'A', 'x' ); */`:                                                "none",
		`$x = "define( 'A', 'x' );";`:                                              "none",
		`?> define( 'A', 'x' ); <?php`:                                             "none",
		`// x ?><?php define( 'A', 'x' );`:                                         "string x",
		`#[Attr] define( 'A', 'x' );`:                                              "string x",
		`define( 'A', 'x' ); define( 'A', 'y' );`:                                  "string x",
		`if ( ! defined( 'A' ) ) define( 'A', 'x' );`:                              "string x",
		`defined( 'A' ) or define( 'A', 'x' );`:                                    "string x",
		`if ( ! defined( 'A' ) ) { define( 'A', 'x' ); }`:                          "string x",
		`if ( $x ) { define( 'A', 'x' ); }`:                                        "unknown",
		`if ( $x ) define( 'A', 'x' ); define( 'A', 'y' );`:                        "unknown",
		`if ( $x ) { f(); } define( 'A', 'x' );`:                                   "string x",
		`if ( $x ) : define( 'A', 'x' ); endif;`:                                   "unknown",
		`if ( $x ) : if ( $y ) : endif; define( 'A', 'x' ); endif;`:                "unknown",
		`if ( $x ) : f(); else : define( 'A', 'x' ); endif;`:                       "unknown",
		`if ( $x ) : f(); endif; define( 'A', 'x' );`:                              "string x",
		`if ( ! defined( 'B' ) ) {} else { define( 'A', 'x' ); }`:                  "unknown",
		`function f() { define( 'A', 'x' ); }`:                                     "unknown",
		`require ABSPATH . 'wp-settings.php'; define( 'A', 'x' );`:                 "none",
		`if ( file_exists( __DIR__ . '/l.php' ) ) { include __DIR__ . '/l.php'; }`: "string local",
		`if ( $x ) { include 'l.php'; }`:                                           "unknown",
		`require '../l.php';`:                                                      "none",
		`require '/l.php';`:                                                        "none",
		`require __DIR__ . '/l.php'; define( 'A', 'x' );`:                          "string local",
	} {
		c := read(t, "<?php\n"+src, "l.php", "<?php define( 'A', 'local' );")
		if got := told(c, "A"); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}

func TestConfigPlaces(t *testing.T) {
	c := read(t, "<?php\n/*\n*/\ndefine(\n'A', <<<X\n\n\nX\n); define( 'B', 1 );\ndefine( 'A', 2 );\nrequire $x;\n$table_prefix = 'a_';\n$table_prefix = 'b_';")
	var got []string
	for _, k := range append(c.Constants, c.Variables...) {
		got = append(got, fmt.Sprint(k.Name, k.Line, k.Dead))
	}
	if want := "A4 false B9 false A10 true table_prefix12 false table_prefix13 false"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", strings.Join(got, " "), want)
	}
	if v, _ := c.Variable("table_prefix"); v.Value.Text != "b_" {
		t.Errorf("table prefix %q", v.Value.Text)
	}
	if len(c.Outside) != 1 || c.Outside[0].Line != 11 {
		t.Errorf("outside: %+v", c.Outside)
	}
}

func TestConfigReadsProto(t *testing.T) {
	for src, want := range map[string]bool{
		`if ( $_SERVER['HTTP_X_FORWARDED_PROTO'] === 'https' ) { $_SERVER['HTTPS'] = 'on'; }`:                       true,
		`if ( strpos( $_SERVER["HTTP_CLOUDFRONT_FORWARDED_PROTO"], 'https' ) !== false ) $_SERVER['HTTPS'] = 'on';`: true,
		`$_SERVER['HTTPS'] = 'on';`:                                              false,
		`$x = $_SERVER['HTTP_X_FORWARDED_PROTO'];`:                               false,
		`// if ( $_SERVER['HTTP_X_FORWARDED_PROTO'] ) $_SERVER['HTTPS'] = 'on';`: false,
	} {
		if got := read(t, "<?php\n"+src).ReadsProto; got != want {
			t.Errorf("%s: %v, want %v", src, got, want)
		}
	}
}

// What a hostile configuration costs does not grow faster than its size.
func TestHostileConfig(t *testing.T) {
	large := tier.Some(10<<20, 1<<20)
	doubling := "<?php define( 'X0', '" + strings.Repeat("x", 1000) + "' );\n"
	for i := range 20000 {
		doubling += fmt.Sprintf("define( 'X%d', X%d . X%d );\n", i+1, i, i)
	}
	hostile(t, "doubling", doubling)
	for _, piece := range []string{"define('A'.B,1);", "if(defined('A'))", "<<<X ", "define('A',"} {
		hostile(t, piece, "<?php\n"+strings.Repeat(piece, large/len(piece)))
	}
	for _, piece := range []string{
		"define('A',B);\n", "(", "define(", "if($x){", "if($x):", "else:", "<<<X\n", "<<<X\nX", "'a' . ", "x", "/*", "//\n", "dirname(",
		"?><?php ", "<?", "require 'a'.B;", "\x00", "\"$", "$memcached_servers=[A];", "$_SERVER['HTTPS']=", `\`, `\a`, "!", "`",
	} {
		small := large / 20
		hostile(t, piece, "<?php\n"+strings.Repeat(piece, small/len(piece)))
		hostile(t, "a value of "+piece, "<?php define('A',"+strings.Repeat(piece, small/len(piece))+"1);")
	}
}

func hostile(t *testing.T, name, src string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	c := read(t, src)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	total := after.TotalAlloc - before.TotalAlloc
	if most := uint64(64*len(src) + 64<<20); total > most {
		t.Errorf("%s: %d KiB allocate %d MiB", name, len(src)>>10, total>>20)
	}
	if took > time.Minute {
		t.Errorf("%s: %d KiB take %v", name, len(src)>>10, took)
	}
	if len(c.Constants) > maxConstants || len(c.Variables) > maxConstants || len(c.Outside) > maxConstants {
		t.Errorf("%s: %d constants", name, len(c.Constants))
	}
	t.Logf("%-24q %6d KiB %8v %5d MiB", name, len(src)>>10, took.Round(time.Millisecond), total>>20)
}

func FuzzWPConfig(f *testing.F) {
	for _, seed := range []string{
		"<?php\ndefine( 'DB_PASSWORD', getenv( 'DB_PASSWORD' ) );\n$table_prefix = 'wp_';\nrequire_once ABSPATH . 'wp-settings.php';\n",
		"<?php if ( ! defined( 'A' ) ) : const A = __DIR__ . '/x'; else: endif; Config::define('B', <<<X\n$a\nX);",
		"\xef\xbb\xbf<?php /* */ # x ?>\n<?= dirname( __FILE__, 99999 ) . \"\\\"$x\" ?><?xml",
		"<?php require 'wp-config.php'; $_SERVER['HTTPS'] = $_SERVER['HTTP_X_FORWARDED_PROTO']; function f() { @ini_set( 'a', 1 ); }",
		"<?php define(define('A',(((!-1))),,,)); } } } : ; { [ ( <<<'a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		c := read(t, src, "a.php", "<?php define( 'A', 1 );")
		lines := 1 + strings.Count(src, "\n")
		for _, k := range append(append([]Constant{}, c.Constants...), c.Variables...) {
			if k.Line < 1 || k.Path == "wp-config.php" && k.Line > lines {
				t.Errorf("%s is on line %d of %d", k.Name, k.Line, lines)
			}
			if p, inside := k.Value.InTree(); inside && (strings.HasPrefix(p, "../") || strings.HasPrefix(p, "/")) {
				t.Errorf("%s leads to %q", k.Name, p)
			}
		}
		// What a configuration says does not change by a comment before it,
		// and nothing in a comment says anything.
		if tail, ok := strings.CutPrefix(src, "<?php\n"); ok {
			same := read(t, "<?php\n/**/"+tail, "a.php", "<?php define( 'A', 1 );")
			if fmt.Sprint(same.Constants) != fmt.Sprint(c.Constants) {
				t.Errorf("%v is %v behind a comment", c.Constants, same.Constants)
			}
		}
		silent := read(t, "<?php /*"+strings.ReplaceAll(src, "*/", "")+"*/")
		if len(silent.Constants)+len(silent.Variables)+len(silent.Calls)+len(silent.Outside) > 0 {
			t.Errorf("a comment says %+v", silent)
		}
	})
}
