package rules_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// bedrockConfig is roots/bedrock's config/application.php, shortened where it
// repeats itself.
const bedrockConfig = `<?php
use Roots\WPConfig\Config;
use function Env\env;

$root_dir = dirname(__DIR__);
$webroot_dir = $root_dir . '/web';

if (file_exists($root_dir . '/.env')) {
    $env_files = file_exists($root_dir . '/.env.local') ? ['.env', '.env.local'] : ['.env'];
    $dotenv = Dotenv\Dotenv::createImmutable($root_dir, $env_files, false);
    $dotenv->load();
    if (!env('DATABASE_URL')) {
        $dotenv->required(['DB_NAME', 'DB_USER', 'DB_PASSWORD']);
    }
}

define('WP_ENV', env('WP_ENV') ?: 'production');
if (!env('WP_ENVIRONMENT_TYPE') && in_array(WP_ENV, ['production', 'staging', 'development', 'local'])) {
    Config::define('WP_ENVIRONMENT_TYPE', WP_ENV);
}

Config::define('WP_HOME', env('WP_HOME'));
Config::define('WP_SITEURL', env('WP_SITEURL'));
Config::define('CONTENT_DIR', '/app');
Config::define('WP_CONTENT_DIR', $webroot_dir . Config::get('CONTENT_DIR'));
Config::define('WP_CONTENT_URL', Config::get('WP_HOME') . Config::get('CONTENT_DIR'));

if (env('DB_SSL')) {
    Config::define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL);
}
Config::define('DB_NAME', env('DB_NAME'));
Config::define('DB_USER', env('DB_USER'));
Config::define('DB_PASSWORD', env('DB_PASSWORD'));
Config::define('DB_HOST', env('DB_HOST') ?: 'localhost');
Config::define('DB_CHARSET', 'utf8mb4');
Config::define('DB_COLLATE', '');
$table_prefix = env('DB_PREFIX') ?: 'wp_';

if (env('DATABASE_URL')) {
    $dsn = (object) parse_url(env('DATABASE_URL'));
    Config::define('DB_NAME', substr($dsn->path, 1));
    Config::define('DB_PASSWORD', isset($dsn->pass) ? $dsn->pass : null);
}

Config::define('AUTH_KEY', env('AUTH_KEY'));
Config::define('SECURE_AUTH_KEY', env('SECURE_AUTH_KEY'));
Config::define('LOGGED_IN_KEY', env('LOGGED_IN_KEY'));
Config::define('NONCE_KEY', env('NONCE_KEY'));
Config::define('AUTH_SALT', env('AUTH_SALT'));
Config::define('SECURE_AUTH_SALT', env('SECURE_AUTH_SALT'));
Config::define('LOGGED_IN_SALT', env('LOGGED_IN_SALT'));
Config::define('NONCE_SALT', env('NONCE_SALT'));

Config::define('AUTOMATIC_UPDATER_DISABLED', true);
Config::define('DISABLE_WP_CRON', env('DISABLE_WP_CRON') ?: false);
Config::define('DISALLOW_FILE_EDIT', true);
Config::define('DISALLOW_FILE_MODS', true);
Config::define('WP_POST_REVISIONS', env('WP_POST_REVISIONS') ?? true);
Config::define('CONCATENATE_SCRIPTS', false);
Config::define('WP_DEBUG_DISPLAY', false);
Config::define('WP_DEBUG_LOG', false);
Config::define('SCRIPT_DEBUG', false);
ini_set('display_errors', '0');

if (isset($_SERVER['HTTP_X_FORWARDED_PROTO']) && $_SERVER['HTTP_X_FORWARDED_PROTO'] === 'https') {
    $_SERVER['HTTPS'] = 'on';
}

$env_config = __DIR__ . '/environments/' . WP_ENV . '.php';
if (file_exists($env_config)) {
    require_once $env_config;
}

Config::apply();

if (!defined('ABSPATH')) {
    define('ABSPATH', $webroot_dir . '/wp/');
}
`

func bedrock() fstest.MapFS {
	m := fstest.MapFS{}
	for name, f := range goodTree() {
		switch rest, ok := strings.CutPrefix(name, "wp-content/"); {
		case ok:
			m["web/app/"+rest] = f
		case name != "wp-config.php":
			m["web/wp/"+name] = f
		}
	}
	put(
		"web/index.php", "<?php\ndefine('WP_USE_THEMES', true);\nrequire __DIR__ . '/wp/wp-blog-header.php';\n",
		"web/wp-config.php", "<?php\nrequire_once dirname(__DIR__) . '/vendor/autoload.php';\nrequire_once dirname(__DIR__) . '/config/application.php';\nrequire_once ABSPATH . 'wp-settings.php';\n",
		"config/application.php", bedrockConfig,
		"config/environments/development.php", "<?php\nuse Roots\\WPConfig\\Config;\nConfig::define('WP_DEBUG', true);\nConfig::define('DISALLOW_FILE_MODS', false);\n",
		"composer.json", `{"require": {"php": ">=8.1", "roots/wordpress": "6.8.3"}}`, "vendor/autoload.php", "<?php\n",
		"web/app/mu-plugins/bedrock-autoloader.php", "<?php\n/**\n * Plugin Name: Bedrock Autoloader\n */\n",
	)(m)
	return m
}

func ownDirectory() fstest.MapFS {
	m := fstest.MapFS{}
	for name, f := range goodTree() {
		if strings.HasPrefix(name, "wp-content/") || name == "wp-config.php" {
			m[name] = f
		} else {
			m["wp/"+name] = f
		}
	}
	put("index.php", "<?php\nrequire __DIR__ . '/wp/wp-blog-header.php';\n")(m)
	plus("define( 'WP_CONTENT_DIR', __DIR__ . '/wp-content' );")(m)
	return m
}

const networkConfig = `define( 'WP_ALLOW_MULTISITE', true );
define( 'MULTISITE', true );
define( 'SUBDOMAIN_INSTALL', false );
define( 'DOMAIN_CURRENT_SITE', getenv( 'DOMAIN' ) );
define( 'PATH_CURRENT_SITE', '/' );
define( 'SITE_ID_CURRENT_SITE', 1 );
define( 'BLOG_ID_CURRENT_SITE', 1 );
`

func multisite() fstest.MapFS {
	m := goodTree()
	plus(networkConfig + `define( 'SUNRISE', 'on' );`)(m)
	put("wp-content/sunrise.php", "<?php\n")(m)
	return m
}

// docker is the official image's wp-config-docker.php, where it differs.
func docker() fstest.MapFS {
	m := goodTree()
	text := string(m["wp-config.php"].Data)
	text = strings.ReplaceAll(text, "getenv( 'DB_PASSWORD' )", "getenv_docker( 'WORDPRESS_DB_PASSWORD', 'example password' )")
	text = strings.Replace(text, "<?php\n", `<?php
if (!function_exists('getenv_docker')) {
	function getenv_docker($env, $default) {
		if ($fileEnv = getenv($env . '_FILE')) {
			return rtrim(file_get_contents($fileEnv), "\r\n");
		}
		return getenv($env) ?: $default;
	}
}
if (isset($_SERVER['HTTP_X_FORWARDED_PROTO']) && strpos($_SERVER['HTTP_X_FORWARDED_PROTO'], 'https') !== false) {
	$_SERVER['HTTPS'] = 'on';
}
if ($configExtra = getenv_docker('WORDPRESS_CONFIG_EXTRA', '')) {
	eval($configExtra);
}
`, 1)
	m["wp-config.php"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	return m
}

// Debian's own wp-config.php reads /etc, where plugins and themes are too, and
// its database is on the same machine: that is no release.
func TestDebianPackage(t *testing.T) {
	m := goodTree()
	put("wp-config.php", `<?php
$debian_server = preg_replace('/:.*/', "", $_SERVER['HTTP_HOST']);
if (isset($_SERVER['WORDPRESS_CONFIG']) && preg_match("/^[a-zA-Z0-9-]+$/", $_SERVER['WORDPRESS_CONFIG'])) {
    $debian_file = '/etc/wordpress/config-'.$_SERVER['WORDPRESS_CONFIG'].'.php';
} else {
    $debian_file = '/etc/wordpress/config-'.strtolower($debian_server).'.php';
}
if (file_exists($debian_file)) {
    require_once($debian_file);
    define('DEBIAN_FILE', $debian_file);
}
if (!defined('ABSPATH'))
    define('ABSPATH', '/usr/share/wordpress/');
if (!defined('WP_AUTO_UPDATE_CORE'))
    define('WP_AUTO_UPDATE_CORE', false);
if (!defined('DB_HOST'))
    define('DB_HOST', 'localhost');
if (!defined('WP_CONTENT_DIR') && !defined('DONT_SET_WP_CONTENT_DIR'))
    define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');
require_once(ABSPATH . 'wp-settings.php');
?>
`)(m)
	r := check(t, m, options(t, nil))
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Severity.String()+" "+f.ID)
	}
	if want := []string{"block C13", "block C17", "warn C05", "info C18"}; !slices.Equal(got, want) || r.Site.WordPress.Layout != wordpress.Debian {
		t.Errorf("%q of a tree that is %s, want %q", got, r.Site.WordPress.Layout, want)
	}
}

// No rule blocks trees as they are in use.
func TestLayouts(t *testing.T) {
	for name, tt := range map[string]struct {
		tree   fstest.MapFS
		layout string
		only   []string // what may be found, as no more than a warning
	}{
		"bedrock":       {bedrock(), wordpress.Bedrock, []string{"T06", "D05", "C18"}},
		"own directory": {ownDirectory(), wordpress.OwnDirectory, nil},
		"multisite":     {multisite(), wordpress.Classic, []string{"D01"}},
		"docker":        {docker(), wordpress.Classic, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := check(t, tt.tree, options(t, nil))
			for _, f := range r.Findings {
				if f.Severity > rules.Warn || !slices.Contains(tt.only, f.ID) {
					t.Errorf("%s %s %s:%d: %s", f.Severity, f.ID, f.Path, f.Line, f.Message)
				}
			}
			if r.Site == nil || r.Site.WordPress.Layout != tt.layout || len(r.Site.Plugins) != 1 || len(r.Site.Themes) != 1 || r.Site.Config == nil {
				t.Errorf("site %+v", r.Site)
			}
		})
	}
}

// realTree returns a real WordPress, as the end-to-end tests have it: tree or
// next, of a later version, with the links of Debian's packages followed.
func realTree(t *testing.T, which, required string) string {
	t.Helper()
	dir := "../../.cache/wordpress/" + which
	_, err := os.Stat(dir) // ci/tree makes it
	tier.Need(t, required, err == nil)
	return dir
}

// notBlocked wants a tree that is neither blocked nor repaired.
func notBlocked(t *testing.T, r rules.Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Severity > rules.Warn {
			t.Errorf("%s %s %s:%d: %s", f.Severity, f.ID, f.Path, f.Line, f.Message)
		}
	}
	if r.Site == nil || r.Site.Config == nil || r.Files < 1000 {
		t.Errorf("%d files, site %+v", r.Files, r.Site)
	}
}

// A real WordPress is not blocked, alone or as a network.
func TestRealTree(t *testing.T) {
	for which, required := range map[string]string{"tree": "wordpress", "next": "next"} {
		t.Run(which, func(t *testing.T) {
			dir := realTree(t, which, required)
			o := options(t, nil)
			p, err := php.Open(t.Context(), tier.Program(t, "php"), dir)
			if err != nil {
				t.Fatal(err)
			}
			o.Parser = p
			r := check(t, os.DirFS(dir), o)
			notBlocked(t, r)
			if r.Parsed.Files < 500 {
				t.Errorf("PHP parsed only %d files", r.Parsed.Files)
			}
			config, err := os.ReadFile(filepath.Join(dir, "wp-config.php"))
			if err != nil {
				t.Fatal(err)
			}
			network := strings.Replace(string(config), "<?php\n", "<?php\n"+networkConfig, 1)
			notBlocked(t, check(t, replaced{os.DirFS(dir), fstest.MapFS{"wp-config.php": &fstest.MapFile{Data: []byte(network), Mode: 0o644}}}, options(t, nil)))
		})
	}
}

// A real WordPress laid out as Bedrock does is not blocked.
func TestRealBedrock(t *testing.T) {
	from, dir := realTree(t, "next", "next"), t.TempDir()
	for source, target := range map[string]string{
		"wp-includes": "web/wp/wp-includes", "wp-admin": "web/wp/wp-admin",
		"wp-content/themes": "web/app/themes", "wp-content/plugins": "web/app/plugins",
	} {
		if err := os.CopyFS(filepath.Join(dir, target), os.DirFS(filepath.Join(from, source))); err != nil {
			t.Fatal(err)
		}
	}
	own := fstest.MapFS{}
	for name, f := range bedrock() {
		if !strings.HasPrefix(name, "web/wp/") && !strings.HasPrefix(name, "web/app/themes/") && !strings.HasPrefix(name, "web/app/plugins/") {
			own[name] = f
		}
	}
	top, err := filepath.Glob(filepath.Join(from, "*.php"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range top {
		if name := filepath.Base(file); name != "wp-config.php" {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			own["web/wp/"+name] = &fstest.MapFile{Data: src, Mode: 0o644}
		}
	}
	if err := os.CopyFS(dir, own); err != nil {
		t.Fatal(err)
	}
	r := check(t, os.DirFS(dir), options(t, nil))
	notBlocked(t, r)
	if r.Site.WordPress.Layout != wordpress.Bedrock || len(r.Site.Themes) == 0 {
		t.Errorf("site %+v", r.Site)
	}
}

// replaced is a tree with some files of its own in the place of others.
type replaced struct {
	fs.FS
	own fstest.MapFS
}

func (r replaced) Open(name string) (fs.File, error) {
	if _, ok := r.own[name]; ok {
		return r.own.Open(name)
	}
	return r.FS.Open(name)
}

func (r replaced) ReadLink(name string) (string, error) { return fs.ReadLink(r.FS, name) }

func (r replaced) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.FS, name) }
