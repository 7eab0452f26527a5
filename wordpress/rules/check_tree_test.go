package rules_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

const (
	block = rules.Block
	fix   = rules.Fix
	warn  = rules.Warn
	info  = rules.Info
)

const (
	cart  = "wp-content/plugins/cart/"
	theme = "wp-content/themes/shop/"
)

func treeCases() []checkCase {
	const merge = "<?php\n<<<<<<< HEAD\n$a = 1;\n=======\n$a = 2;\n>>>>>>> other\n"
	film := []byte(strings.Repeat("x", 2<<20))
	return []checkCase{
		{id: "T01", name: "loader missing", sev: block, tree: put("wp-load.php", ""), at: ".:0"},
		{id: "T01", name: "no version", sev: block, tree: put("wp-includes/version.php", ""), at: ".:0"},
		{id: "T01", name: "no theme", sev: block, tree: put(theme+"style.css", ""), at: "wp-content/themes:0"},
		{id: "T01", name: "no configuration", sev: block, tree: put("wp-config.php", ""), at: "wp-config.php:0"},
		{id: "T01", name: "configuration stayed above", sev: block, tree: put("wp-config.php", ""), with: func(o *rules.Options) {
			o.Above = fstest.MapFS{"wp-config.php": {Data: []byte(goodConfig)}}
		}},

		{id: "T02", name: "absolute", sev: block, tree: link("wp-content/languages", "/usr/share/languages"), at: "wp-content/languages:0"},
		{id: "T02", name: "climbs out", sev: block, tree: link("wp-includes/lib", "../../lib")},
		{id: "T02", name: "nowhere", sev: block, tree: link("wp-includes/lib", "gone")},
		{id: "T02", name: "loop", sev: block, disk: "site", tree: all(link("wp-includes/a", "b"), link("wp-includes/b", "a"))},
		{id: "T02", name: "above itself", sev: block, disk: "site", tree: link("wp-includes/up", "..")},
		{id: "T02", name: "file of another package", sev: fix, disk: "usr/share/wordpress", tree: link("wp-includes/lib.php", "../../php/lib.php")},
		{id: "T02", name: "file of nobody knows whom", sev: block, disk: "home/shop", tree: link("wp-includes/lib.php", "../../php/lib.php")},

		{id: "T03", name: "pipe", sev: block, tree: mode("wp-admin/index.php", 0o644|fs.ModeNamedPipe)},
		{id: "T03", name: "socket", sev: block, tree: mode("wp-admin/index.php", 0o644|fs.ModeSocket)},
		{id: "T03", name: "device", sev: block, tree: mode("wp-admin/index.php", 0o644|fs.ModeDevice)},
		{id: "T03", name: "hard link", sev: info, tree: hardLinked(theme+"a.txt", theme+"b.txt"), at: theme + "b.txt:0"},

		{id: "T04", name: "everybody writes", sev: fix, tree: mode(cart+"cart.php", 0o666), at: cart + "cart.php:0"},
		{id: "T04", name: "directory", sev: fix, tree: func(m fstest.MapFS) { m["wp-content/plugins"] = &fstest.MapFile{Mode: 0o777 | fs.ModeDir} }},
		{id: "T04", name: "own only", sev: fix, tree: mode(cart+"cart.php", 0o600)},
		{id: "T04", name: "set-user-ID", sev: block, tree: mode(cart+"cart.php", 0o755|fs.ModeSetuid)},

		{id: "T05", name: "case", sev: block, tree: put(theme+"Logo.svg", "x", theme+"logo.svg", "x")},
		{id: "T05", name: "accents", sev: block, tree: put(theme+"caf\u00e9.svg", "x", theme+"cafe\u0301.svg", "x")},
		{id: "T05", name: "control", sev: block, tree: put(theme+"a\x07b.svg", "x")},
		{id: "T05", name: "turned around", sev: block, tree: put(theme+"\u202egpj.php", "<?php\n"), at: theme + "\u202egpj.php:0"},
		{id: "T05", name: "isolated", sev: block, tree: put(theme+"a\u2066b.svg", "x")},
		{id: "T05", name: "no width", sev: block, tree: put(theme+"logo\u200b.svg", "x", theme+"logo.svg", "x")},
		{id: "T05", name: "shows nothing", sev: block, tree: put(theme+"a\u3164.svg", "x")},
		{id: "T05", name: "directory of no width", sev: block, tree: put("wp-content/mu-plugins\ufeff/a.svg", "x"), at: "wp-content/mu-plugins\ufeff:0"},
		{id: "T05", name: "backslash", sev: block, tree: put(theme+`a\b.svg`, "x")},
		{id: "T05", name: "space at the end", sev: warn, tree: put(theme+"a.svg ", "x")},
		{id: "T05", name: "device", sev: warn, tree: put(theme+"aux.php", "<?php\n")},
		{id: "T05", name: "drive", sev: warn, tree: put(theme+"C:a.svg", "x")},
		{id: "T05", name: "dot at the end", sev: warn, tree: put(theme+"a.", "x")},

		{id: "T06", name: "git", sev: fix, tree: put(".git/config", "x"), at: ".git:0"},
		{id: "T06", name: "node_modules", sev: fix, tree: put(theme+"node_modules/a/b.js", "x")},
		{id: "T06", name: "editor", sev: fix, tree: put(".idea/a.xml", "x")},
		{id: "T06", name: "desktop", sev: fix, tree: put(theme+".DS_Store", "x")},
		{id: "T06", name: "files", sev: info, tree: put(theme+"package.json", "{}", theme+"webpack.config.js", "x"), at: theme + "package.json:0"},

		{id: "T09", name: "adminer", sev: block, tree: put("adminer-4.8.php", "<?php\n")},
		{id: "T09", name: "installer", sev: block, tree: put("dup-installer/main.txt", "x"), at: "dup-installer:0"},
		{id: "T09", name: "search-replace", sev: block, tree: put("wp-content/searchreplacedb2.php", "<?php\n")},
		{id: "T09", name: "phpinfo by name", sev: warn, tree: put("info.php", "<?php\n")},
		{id: "T09", name: "phpinfo by call", sev: warn, tree: put(cart+"debug.php", "<?php\n\nphpinfo();\n"), at: cart + "debug.php:3"},
		{id: "T09", name: "foreign file", sev: warn, tree: put("cleanup.php", "<?php\n")},

		{id: "T11", name: "php", sev: block, tree: put("wp-content/uploads/x.phtml", "x"), also: "W01"},
		{id: "T11", name: "index with code", sev: block, tree: put("wp-content/uploads/index.php", "<?php eval( $_POST['x'] );"), at: "wp-content/uploads/index.php:0"},
		{id: "T11", name: "image", sev: block, tree: put("wp-content/uploads/a.jpg", "\xff\xd8<?php x();"), also: "W01"},
		{id: "T11", name: "handler", sev: block, tree: put("wp-content/uploads/.htaccess", "AddType application/x-httpd-php .jpg\n")},

		{id: "T12", name: "changed", sev: warn, with: coreSums(map[string]string{"wp-login.php": "x"}), at: "wp-login.php:0"},
		{id: "T12", name: "missing", sev: warn, with: coreSums(map[string]string{"wp-cron.php": "x"}), at: "wp-cron.php:0"},
		{id: "T12", name: "added", sev: warn, tree: put("wp-includes/cache.php", "<?php\n"), with: coreSums(nil), at: "wp-includes/cache.php:0"},
		{id: "T12", name: "strict", sev: block, tree: put("wp-admin/x.php", "<?php\n"), with: func(o *rules.Options) {
			coreSums(nil)(o)
			o.Strict = true
		}},

		{id: "T13", name: "changed", sev: warn, with: pluginSums(`"cart.php":{"md5":["0","1"]}`), at: cart + "cart.php:0"},
		{id: "T13", name: "missing", sev: warn, with: pluginSums(`"gone.php":{"md5":"0"}`), at: cart + "gone.php:0"},

		{id: "T14", name: "composer", sev: block, at: cart + "composer.json:0", also: "T06", tree: put(cart+"composer.json",
			`{"require":{"php":">=8","acme/money":"^1"}}`, cart+"load.php", "<?php\nrequire __DIR__ . '/vendor/autoload.php';\n")},
		{id: "T14", name: "submodule", sev: block, at: "wp-content/themes/child:0", also: "T06", tree: put(".gitmodules",
			"[submodule \"child\"]\n\tpath = wp-content/themes/child\n\turl = ../child\n")},
		{id: "T14", name: "lfs", sev: block, tree: put(theme+"hero.mp4", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")},
		{id: "T14", name: "assets of a manifest", sev: block, tree: put(theme+"dist/mix-manifest.json", `{"/app.js":"/app.1.js?id=2"}`)},
		{id: "T14", name: "manifest", sev: block, at: theme + "assets.php:2", tree: put(theme+"assets.php",
			"<?php\n$m = json_decode( file_get_contents( __DIR__ . '/dist/mix-manifest.json' ) );\n")},

		{id: "T15", name: "merge", sev: block, tree: put(cart+"a.php", merge), at: cart + "a.php:2"},
		{id: "T15", name: "zero byte", sev: block, tree: put(cart+"cart.php", cartFile+"\x00"), at: cart + "cart.php:6"},
		{id: "T15", name: "nothing left", sev: block, tree: func(m fstest.MapFS) { m["wp-login.php"] = &fstest.MapFile{Mode: 0o644} }},
		{id: "T15", name: "php says so", sev: block, with: parser("wp-login.php"), at: "wp-login.php:7"},
		{id: "T15", name: "in a package", sev: warn, tree: put(cart+"vendor/x/a.php", "<?php\n"), with: parser(cart + "vendor/x/a.php")},

		{id: "T16", name: "byte order mark", sev: fix, tree: configured("<?php\ndefine( 'DB_NAME'", "\ufeff<?php\ndefine( 'DB_NAME'"), at: "wp-config.php:1"},
		{id: "T16", name: "blank line", sev: warn, tree: put(cart+"cart.php", "\n"+cartFile), at: cart + "cart.php:1"},
		{id: "T16", name: "text behind", sev: warn, tree: put(theme+"functions.php", "<?php\nf();\n?>\nbye\n"), at: theme + "functions.php:4"},

		{id: "T17", name: "maintenance", sev: block, tree: put(".maintenance", "<?php $upgrading = 1;"), at: ".maintenance:0"},
		{id: "T18", name: "filemtime", sev: info, tree: put(theme+"functions.php", "<?php\nf( filemtime( $x ) );\n"), at: theme + "functions.php:2"},
		{id: "T19", name: "large", sev: warn, tree: func(m fstest.MapFS) {
			for i := range 300 {
				m[fmt.Sprintf(theme+"film/%d.mp4", i)] = &fstest.MapFile{Data: film, Mode: 0o644}
			}
		}},
		{id: "T20", name: "configuration", sev: block, tree: plus("$dir = '/home/mia/shop';"), at: "wp-config.php:23"},
		{id: "T20", name: "the tree's own place", sev: block, tree: plus("$dir = '/build/shop/x';")},
		{id: "T20", name: "drop-in", sev: block, tree: put("wp-content/maintenance.php", "<?php\ninclude '/var/www/x.php';\n"), also: "D01"},
		{id: "T20", name: "elsewhere", sev: warn, tree: put("wp-content/load.php", "<?php\ninclude '/Users/mia/x.php';\n"), at: "wp-content/load.php:2"},
		{id: "T21", name: "encoded", sev: warn, tree: put(cart+"a.php", "<?php //0046a\nif(!extension_loaded('ionCube Loader')){exit(1);}\n")},
	}
}

func stateCases() []checkCase {
	const key = "AKIA" + "ABCDEFGHIJKLMNOP"
	return []checkCase{
		{id: "T07", name: "dump", sev: block, tree: put("shop.sql.gz", "x"), at: "shop.sql.gz:0"},
		{id: "T07", name: "archive", sev: block, tree: put("site.zip", strings.Repeat("x", 2<<20))},
		{id: "T07", name: "small backup", sev: warn, tree: put("index.php.bak", "x")},
		{id: "T07", name: "of a plugin", sev: warn, tree: put(cart+"demo.zip", "x")},
		{id: "T07", name: "configuration", sev: block, tree: put("wp-config.php.save", "x")},
		{id: "T07", name: "old configuration", sev: block, tree: put("wp-config-old.php", "<?php\n")},

		{id: "T08", name: "env", sev: block, tree: put(".env", "A=1")},
		{id: "T08", name: "key file", sev: block, tree: put("wp-content/deploy.pem", "x")},
		{id: "T08", name: "ssh", sev: block, tree: put(".ssh/config", "x"), at: ".ssh:0"},
		{id: "T08", name: "access key", sev: block, tree: put(theme+"s3.php", "<?php\n$k = '"+key+"';\n"), at: theme + "s3.php:2"},
		{id: "T08", name: "access key in a package", sev: block, tree: put(cart+"vendor/acme/s3.php", "<?php\n$k = '"+key+"';\n"), at: cart + "vendor/acme/s3.php:2"},
		{id: "T08", name: "payment key", sev: block, tree: put(cart+"pay.php", "<?php\n\n$k = 'sk_"+"live_4eC39HqLyjWDarjtT1zdp7dc';\n"), at: cart + "pay.php:3"},
		{id: "T08", name: "cloud key", sev: block, tree: put(cart+"a.php", "<?php $k = \"dop_"+"v1_"+strings.Repeat("0123456789abcdef", 4)+"\";\n")},
		{id: "T08", name: "token", sev: block, tree: put("composer.txt", "token=ghp_"+"0123456789abcdefghijABCDEFGHIJ012345\n")},
		{id: "T08", name: "private key", sev: block, tree: put("wp-content/a.json", "{\n\"k\": \"-----BEGIN RSA PRIVATE KEY-----\"}"), at: "wp-content/a.json:2"},
		{id: "T08", name: "service account", sev: block, tree: put("wp-content/a.json", `{"type": "service_account", "private_key": "x"}`)},

		{id: "T10", name: "debug", sev: fix, tree: put("wp-content/debug.log", "x"), at: "wp-content/debug.log:0"},
		{id: "T10", name: "php's", sev: fix, tree: put("error_log", "x")},

		{id: "W01", name: "uploads", sev: fix, tree: put("wp-content/uploads/2026/01/a.jpg", "x"), at: "wp-content/uploads:0"},
		{id: "W02", name: "upgrade", sev: fix, tree: put("wp-content/upgrade/cart/x.php", "<?php")},
		{id: "W03", name: "cache", sev: fix, tree: put("wp-content/cache/minify/a.css", "x")},
		{id: "W04", name: "w3tc", sev: warn, tree: put("wp-content/w3tc-config/master.php", "<?php\n"), at: "wp-content/w3tc-config:0"},
		{id: "W05", name: "updraft", sev: fix, tree: put("wp-content/updraft/b.zip", "x")},
		{id: "W06", name: "wordfence", sev: fix, tree: put("wp-content/wflogs/rules.php", "<?php")},
		{id: "W06", name: "prepend", sev: block, tree: put(".user.ini", "auto_prepend_file = '/var/www/shop/wordfence-waf.php'\n"), at: ".user.ini:1"},
		{id: "W07", name: "divi", sev: fix, tree: put("wp-content/et-cache/1/a.css", "x")},
		{id: "W08", name: "blogs", sev: fix, tree: put("wp-content/blogs.dir/2/files/a.jpg", "x")},
		{id: "W09", name: "loco", sev: warn, tree: put("wp-content/plugins/loco-translate/loco.php", "<?php // Plugin Name: Loco\n")},
		{id: "W10", name: "writes", sev: info, at: cart + "w.php:2", tree: put(cart+"w.php",
			"<?php\nfile_put_contents( plugin_dir_path( __FILE__ ) . 'x', 1 );\n")},
		{id: "W99", name: "denied", sev: warn, at: "wp-content/x:0", with: func(o *rules.Options) {
			o.Runtime = &rules.Runtime{Denied: []php.Denied{{Path: "wp-content/x", Call: "fopen", Times: 2}}}
		}},
	}
}

func hardLinked(names ...string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		for _, n := range names {
			m[n] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644, Sys: &syscall.Stat_t{Nlink: 2, Ino: 7}}
		}
	}
}

// parser says of one file that it cannot be parsed.
func parser(name string) func(*rules.Options) {
	return func(o *rules.Options) { o.Parser = oneError(name) }
}

type oneError string

func (oneError) Version() string { return "8.2.0" }

func (e oneError) Parse(_ context.Context, files []string) ([]php.SyntaxError, error) {
	if !slices.Contains(files, string(e)) {
		return nil, fmt.Errorf("%s was not to be parsed", e)
	}
	return []php.SyntaxError{{Path: string(e), Line: 7, Message: "syntax error"}}, nil
}

func coreSums(wrong map[string]string) func(*rules.Options) {
	return func(o *rules.Options) {
		var lines strings.Builder
		for name, f := range goodTree() {
			if wrong[name] == "" && !strings.HasPrefix(name, "wp-content/") && name != "wp-config.php" {
				fmt.Fprintf(&lines, "%x  usr/share/wordpress/%s\n", md5.Sum(f.Data), name)
			}
		}
		for name := range wrong {
			fmt.Fprintf(&lines, "%032d  usr/share/wordpress/%s\n", 0, name)
		}
		o.Checksums = fstest.MapFS{"core.md5sums": {Data: []byte(lines.String())}}
	}
}

func pluginSums(files string) func(*rules.Options) {
	return func(o *rules.Options) {
		o.Checksums = fstest.MapFS{"plugins/cart.json": {Data: []byte(`{"version":"2.1","files":{` + files + `}}`)}}
	}
}
