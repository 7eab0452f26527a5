package rules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// goodConfig is a wp-config.php that no rule finds fault with.
const goodConfig = `<?php
define( 'DB_NAME', getenv( 'DB_NAME' ) );
define( 'DB_USER', getenv( 'DB_USER' ) );
define( 'DB_PASSWORD', getenv( 'DB_PASSWORD' ) );
define( 'DB_HOST', getenv( 'DB_HOST' ) );
define( 'AUTH_KEY', getenv( 'AUTH_KEY' ) );
define( 'SECURE_AUTH_KEY', getenv( 'SECURE_AUTH_KEY' ) );
define( 'LOGGED_IN_KEY', getenv( 'LOGGED_IN_KEY' ) );
define( 'NONCE_KEY', getenv( 'NONCE_KEY' ) );
define( 'AUTH_SALT', getenv( 'AUTH_SALT' ) );
define( 'SECURE_AUTH_SALT', getenv( 'SECURE_AUTH_SALT' ) );
define( 'LOGGED_IN_SALT', getenv( 'LOGGED_IN_SALT' ) );
define( 'NONCE_SALT', getenv( 'NONCE_SALT' ) );
define( 'WP_HOME', getenv( 'WP_HOME' ) );
define( 'WP_SITEURL', getenv( 'WP_HOME' ) );
define( 'WP_ENVIRONMENT_TYPE', getenv( 'WP_ENVIRONMENT_TYPE' ) ?: 'production' );
define( 'DISALLOW_FILE_MODS', true );
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'WP_DEBUG', false );
define( 'WP_CACHE_KEY_SALT', getenv( 'WP_HOME' ) );
$table_prefix = 'wp_';
if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
`

const (
	cartFile  = "<?php\n/*\n * Plugin Name: Cart\n * Version: 2.1\n */\n"
	themeFile = "/*\nTheme Name: Shop\nVersion: 1.0\n*/\n"
)

// goodTree is a classic tree that no rule finds fault with.
func goodTree() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range map[string]string{
		"index.php":          "<?php\nrequire __DIR__ . '/wp-blog-header.php';\n",
		"wp-blog-header.php": "<?php\n", "wp-load.php": "<?php\n", "wp-settings.php": "<?php\n", "wp-login.php": "<?php\n",
		"wp-config.php": goodConfig, "wp-config-sample.php": "<?php\n",
		"wp-admin/index.php": "<?php\n",
		"wp-includes/version.php": "<?php\n$wp_version = '6.8.3';\n$wp_db_version = 60421;\n$required_php_version = '7.2.24';\n" +
			"$required_php_extensions = array( 'json', 'hash' );\n$required_mysql_version = '5.5.5';\n",
		"wp-content/index.php":                      "<?php\n// Silence is golden.\n",
		"wp-content/themes/shop/style.css":          themeFile,
		"wp-content/themes/shop/functions.php":      "<?php\n",
		"wp-content/themes/shop/assets/app.js":      "go()\n",
		"wp-content/plugins/cart/cart.php":          cartFile,
		"wp-content/plugins/cart/vendor/cacert.pem": "-----BEGIN CERTIFICATE-----\n",
	} {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return m
}

// goodNode is the configuration of a node that no rule finds fault with.
func goodNode() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range map[string]string{
		"nginx/sites-enabled/shop": "server {\n  listen 80;\n  root /srv/wordpress/current;\n  real_ip_header X-Forwarded-For;\n" +
			"  keepalive_timeout 75s;\n  client_max_body_size 64m;\n  location ~ /\\.(?!well-known) { deny all; }\n" +
			"  location ~* /uploads/.*\\.php$ { deny all; }\n  location / { try_files $uri $uri/ /index.php?$args; }\n" +
			"  fastcgi_param HTTPS $forwarded_https if_not_empty;\n}\n",
		"php/8.2/fpm/php.ini": "upload_max_filesize = 64M\nsendmail_path = /usr/bin/msmtp -t\nopcache.validate_timestamps = 0\n" +
			"realpath_cache_size = 4096k\nsession.save_handler = memcached\nsession.save_path = sessions.internal:11211\n",
		"php/8.2/fpm/conf.d/20-all.ini": "extension=mysqli\nextension=curl\nextension=dom\nextension=exif\nextension=fileinfo\nextension=intl\n" +
			"extension=mbstring.so\nextension=xml\nextension=zip\nextension=gd\nextension=memcached.so\nzend_extension=opcache.so\n",
		"php/8.2/fpm/php-fpm.conf": "[global]\nprocess_control_timeout = 20s\n",
		"php/8.2/fpm/pool.d/www.conf": "[www]\npm = static\nping.path = /fpm-ping\nrequest_terminate_timeout = 60s\n" +
			"catch_workers_output = yes\nclear_env = yes\n",
		"systemd/system/php8.2-fpm.service.d/kill.conf": "[Service]\nKillMode=mixed\n",
		"wpbake/node.yaml": "warm: [/]\ngate:\n  url: http://127.0.0.1/\n  body: Shop\n",
	} {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return m
}

// checkCase is a tree, or what is around it, with one fault.
type checkCase struct {
	id   string // that is found, and no other
	name string // of the fault
	tree func(m fstest.MapFS)
	node func(m fstest.MapFS) // as goodNode, with a fault; nil is no node
	with func(*rules.Options)
	disk string         // where the tree lies on a disk; empty is in memory
	also string         // what else must be found, as info or repair
	sev  rules.Severity // of the finding
	at   string         // "path:line" of the first finding; empty is not looked at
}

func checkCases() []checkCase {
	return slices.Concat(treeCases(), stateCases(), configCases(), serverCases(), needCases(), changeCases(), nodeCases())
}

// set makes the tree, and what it is checked against.
func (tt checkCase) set(t *testing.T) (fstest.MapFS, rules.Options) {
	tree := goodTree()
	if tt.tree != nil {
		tt.tree(tree)
	}
	var node fstest.MapFS
	if tt.node != nil {
		node = goodNode()
		tt.node(node)
	}
	o := options(t, node)
	if tt.with != nil {
		tt.with(&o)
	}
	return tree, o
}

// put writes files, "" removes one.
func put(pairs ...string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				delete(m, pairs[i])
				continue
			}
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), Mode: 0o644}
		}
	}
}

// configured replaces text of the good wp-config.php.
func configured(old, now string) func(fstest.MapFS) { return edited("wp-config.php", old, now) }

func edited(name, old, now string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		text := string(m[name].Data)
		if !strings.Contains(text, old) {
			panic(name + " does not hold " + old)
		}
		m[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, old, now)), Mode: 0o644}
	}
}

// plus adds a line of code to the good wp-config.php.
func plus(line string) func(fstest.MapFS) {
	return configured("$table_prefix = 'wp_';", "$table_prefix = 'wp_';\n"+line)
}

func mode(name string, m fs.FileMode) func(fstest.MapFS) {
	return func(tree fstest.MapFS) {
		f := *tree[name]
		f.Mode = m
		tree[name] = &f
	}
}

func link(name, target string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		m[name] = &fstest.MapFile{Data: []byte(target), Mode: 0o777 | fs.ModeSymlink}
	}
}

func all(edits ...func(fstest.MapFS)) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		for _, e := range edits {
			e(m)
		}
	}
}

func before(edits ...func(fstest.MapFS)) func(*rules.Options) {
	return func(o *rules.Options) {
		m := goodTree()
		all(edits...)(m)
		o.Before = m
	}
}

func inDatabase(edit func(*database.Facts)) func(*rules.Options) {
	return func(o *rules.Options) {
		o.Database = &database.Facts{
			Version: "10.11.6-MariaDB", DBVersion: 60421, SiteURL: "http://shop.example",
			Template: "shop", Stylesheet: "shop", ActivePlugins: []string{"cart/cart.php"},
		}
		edit(o.Database)
	}
}

func options(t *testing.T, node fstest.MapFS) rules.Options {
	o := rules.Options{Dir: "/build/shop", Cron: "the scheduler"}
	if node != nil {
		n, err := nodeconfig.Read(node, "image/etc")
		if err != nil {
			t.Fatal(err)
		}
		o.Node = n
	}
	return o
}

func check(t *testing.T, tree fs.FS, o rules.Options) rules.Report {
	t.Helper()
	r, err := rules.Check(t.Context(), tree, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A good tree has no finding at all: not alone, and not with everything that
// can be known around it.
func TestGoodTree(t *testing.T) {
	tree := goodTree()
	alone := check(t, tree, options(t, nil))
	o := options(t, goodNode())
	o.Before, o.Runtime, o.Checksums = tree, &rules.Runtime{}, fstest.MapFS{}
	inDatabase(func(*database.Facts) {})(&o)
	whole := check(t, tree, o)
	for _, r := range []rules.Report{alone, whole} {
		for _, f := range r.Findings {
			t.Errorf("%s %s %s:%d: %s", f.Severity, f.ID, f.Path, f.Line, f.Message)
		}
		if r.Files != len(tree) || r.Site == nil {
			t.Errorf("%d files, site %v", r.Files, r.Site)
		}
	}
}

// Every rule finds its own fault, and no other rule takes it for one.
func TestEveryRule(t *testing.T) {
	catalogue := map[string]rules.Rule{}
	for _, r := range rules.Catalogue() {
		catalogue[r.ID] = r
	}
	tried := map[string]map[rules.Severity]bool{}
	for _, tt := range checkCases() {
		t.Run(tt.id+" "+tt.name, func(t *testing.T) {
			tree, o := tt.set(t)
			judgeCase(t, tt, check(t, onDisk(t, tt, tree, &o), o), catalogue[tt.id])
		})
		if tried[tt.id] == nil {
			tried[tt.id] = map[rules.Severity]bool{}
		}
		tried[tt.id][tt.sev] = true
	}
	for id, r := range catalogue {
		if got, want := slices.Sorted(maps.Keys(tried[id])), slices.Sorted(slices.Values(r.Severities)); id[0] != 'S' && !slices.Equal(got, want) {
			t.Errorf("rule %s can be %v, and is tried as %v", id, want, got)
		}
	}
}

// onDisk writes a tree to a disk where the case wants that, beside a library
// that is not in it.
func onDisk(t *testing.T, tt checkCase, tree fstest.MapFS, o *rules.Options) fs.FS {
	t.Helper()
	if tt.disk == "" {
		return tree
	}
	o.Dir = filepath.Join(t.TempDir(), tt.disk)
	lib := filepath.Join(o.Dir, "../php/lib.php")
	if err := errors.Join(os.CopyFS(o.Dir, tree), os.MkdirAll(filepath.Dir(lib), 0o755), os.WriteFile(lib, []byte("<?php\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return os.DirFS(o.Dir)
}

func judgeCase(t *testing.T, tt checkCase, r rules.Report, rule rules.Rule) {
	t.Helper()
	if len(r.Findings) == 0 {
		t.Fatal("nothing is found")
	}
	if i := slices.IndexFunc(r.Findings, func(f rules.Finding) bool { return f.ID == tt.also && f.Severity != block && f.Severity != warn }); i >= 0 {
		r.Findings = slices.Delete(r.Findings, i, i+1)
	} else if tt.also != "" {
		t.Errorf("%s is not found", tt.also)
	}
	for _, f := range r.Findings {
		if f.ID != tt.id {
			t.Errorf("also found: %s %s %s:%d: %s", f.Severity, f.ID, f.Path, f.Line, f.Message)
		}
		if f.Message == "" || f.Why != rule.Why || f.Fix != rule.Fix || !fs.ValidPath(f.Path) {
			t.Errorf("incomplete: %+v", f)
		}
	}
	first := r.Findings[0]
	if first.Severity != tt.sev {
		t.Errorf("severity %v, want %v: %s", first.Severity, tt.sev, first.Message)
	}
	if got := fmt.Sprintf("%s:%d", first.Path, first.Line); tt.at != "" && got != tt.at {
		t.Errorf("found at %s, want %s", got, tt.at)
	}
}
