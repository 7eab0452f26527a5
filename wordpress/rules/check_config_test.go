package rules_test

import (
	"strings"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// salts fills all keys and salts with what an expression says.
func salts(value string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		for _, name := range []string{"AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"} {
			for _, kind := range []string{"_KEY", "_SALT"} {
				configured("define( '"+name+kind+"', getenv( '"+name+kind+"' ) );", "define( '"+name+kind+"', "+value+" );")(m)
			}
		}
	}
}

func unset(name string) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		var keep []string
		for line := range strings.Lines(string(m["wp-config.php"].Data)) {
			if !strings.Contains(line, "define( '"+name+"'") {
				keep = append(keep, line)
			}
		}
		m["wp-config.php"] = &fstest.MapFile{Data: []byte(strings.Join(keep, "")), Mode: 0o644}
	}
}

// defined gives a constant of the good configuration another value.
func defined(name, value string) func(fstest.MapFS) {
	return all(unset(name), plus("define( '"+name+"', "+value+" );"))
}

func configCases() []checkCase {
	const mods = "DISALLOW_FILE_MODS"
	return []checkCase{
		{id: "C01", name: "password", sev: block, tree: configured("getenv( 'DB_PASSWORD' )", "'candle'"), at: "wp-config.php:4"},
		{id: "C01", name: "name", sev: block, tree: configured("getenv( 'DB_NAME' )", "'shop'")},
		{id: "C01", name: "const", sev: block, tree: all(unset("DB_PASSWORD"), plus("const DB_PASSWORD = 'can' . 'dle';"))},
		{id: "C01", name: "on a condition", sev: block, tree: plus("if ( $x ) { define( 'DB_PASSWORD', 'candle' ); }")},
		{id: "C01", name: "in a file that it requires", sev: block, at: "wp-config-local.php:2", tree: all(
			plus("require __DIR__ . '/wp-config-local.php';"), put("wp-config-local.php", "<?php\ndefine( 'DB_USER', 'root' );\n"))},
		{id: "C01", name: "url", sev: block, tree: plus("define( 'DATABASE', 'mysql://shop:candle@db.example/shop' );")},

		{id: "C02", name: "literal", sev: block, tree: salts("'s3cret'"), at: "wp-config.php:6"},
		{id: "C02", name: "by node", sev: block, tree: salts("md5( gethostname() )")},
		{id: "C02", name: "sample", sev: warn, tree: salts("'put your unique phrase here'")},
		{id: "C02", name: "missing", sev: warn, tree: unset("NONCE_SALT"), at: "wp-config.php:0"},

		{id: "C03", name: "unset", sev: warn, tree: unset("WP_SITEURL")},
		{id: "C03", name: "of the request", sev: warn, tree: defined("WP_HOME", "'http://' . $_SERVER['HTTP_HOST']")},
		{id: "C03", name: "of the request, in a string", sev: warn, tree: defined("WP_HOME", `"http://{$_SERVER['HTTP_HOST']}"`)},
		{id: "C03", name: "literal", sev: warn, tree: defined("WP_HOME", "'http://shop.example'")},

		{id: "C04", name: "wp-admin is https", sev: block, tree: plus("define( 'FORCE_SSL_ADMIN', true );"), at: "wp-config.php:23"},
		{id: "C04", name: "the database says https", sev: block, with: inDatabase(func(d *database.Facts) { d.SiteURL = "https://shop.example" })},
		{id: "C04", name: "nginx does not map it", sev: block, tree: plus("define( 'FORCE_SSL_ADMIN', true );"),
			node: edited("nginx/sites-enabled/shop", "fastcgi_param HTTPS $forwarded_https if_not_empty;", "fastcgi_param HTTPS $https if_not_empty;")},

		{id: "C05", name: "unset", sev: block, tree: all(unset(mods), plus("define( 'AUTOMATIC_UPDATER_DISABLED', true );")), at: "wp-config.php:0"},
		{id: "C05", name: "false", sev: block, tree: all(defined(mods, "false"), plus("define( 'WP_AUTO_UPDATE_CORE', false );"))},
		{id: "C05", name: "too late", sev: block, tree: all(unset(mods), plus("define( 'AUTOMATIC_UPDATER_DISABLED', true );"),
			configured("'wp-settings.php';\n", "'wp-settings.php';\ndefine( 'DISALLOW_FILE_MODS', true );\n")), at: "wp-config.php:27"},
		{id: "C05", name: "only the editor", sev: block, tree: all(unset(mods), plus("define( 'AUTOMATIC_UPDATER_DISABLED', true ); define( 'DISALLOW_FILE_EDIT', true );"))},
		{id: "C05", name: "perhaps elsewhere", sev: warn, tree: all(unset(mods), plus("require '/etc/shop/config.php';"))},
		{id: "C06", name: "both", sev: block, tree: unset(mods), with: waived("C05", "wp-config.php")},
		{id: "C06", name: "updater on", sev: block, tree: all(unset(mods), plus("define( 'AUTOMATIC_UPDATER_DISABLED', false );")), with: waived("C05", "wp-config.php")},

		{id: "C07", name: "unset", sev: warn, tree: unset("DISABLE_WP_CRON")},
		{id: "C07", name: "false", sev: warn, tree: defined("DISABLE_WP_CRON", "false")},
		{id: "C07", name: "nobody", sev: block, with: func(o *rules.Options) { o.Cron = "" }},
		{id: "C07", name: "environment and nobody", sev: warn, tree: defined("DISABLE_WP_CRON", "getenv( 'X' )"), with: func(o *rules.Options) { o.Cron = "" }},
		{id: "C07", name: "alternate", sev: warn, tree: plus("define( 'ALTERNATE_WP_CRON', true );")},

		{id: "C08", name: "debug", sev: block, tree: defined("WP_DEBUG", "true")},
		{id: "C08", name: "the text false", sev: block, tree: defined("WP_DEBUG", "'false'")},
		{id: "C08", name: "debug without display", sev: warn, tree: all(defined("WP_DEBUG", "true"), plus("define( 'WP_DEBUG_DISPLAY', false );"))},
		{id: "C08", name: "log", sev: warn, tree: plus("define( 'WP_DEBUG_LOG', true );")},
		{id: "C08", name: "queries", sev: warn, tree: plus("define( 'SAVEQUERIES', 1 );")},
		{id: "C08", name: "repair", sev: block, tree: plus("define( 'WP_ALLOW_REPAIR', true );")},
		{id: "C08", name: "display", sev: block, tree: plus("@ini_set( 'display_errors', 'On' );")},
		{id: "C08", name: "reporting", sev: warn, tree: plus("error_reporting( E_ALL );")},

		{id: "C09", name: "staging", sev: warn, tree: defined("WP_ENVIRONMENT_TYPE", "'staging'")},
		{id: "C09", name: "development", sev: warn, tree: plus("define( 'WP_DEVELOPMENT_MODE', 'all' );")},
		{id: "C10", name: "method", sev: warn, tree: plus("define( 'FS_METHOD', 'direct' );")},
		{id: "C10", name: "ftp", sev: warn, tree: plus("define( 'FTP_USER', getenv( 'FTP_USER' ) );")},
		{id: "C11", name: "no drop-in", sev: warn, tree: plus("define( 'WP_CACHE', true );")},

		{id: "C12", name: "redis", sev: warn, tree: plus("define( 'WP_REDIS_HOST', 'cache.internal' );")},
		{id: "C12", name: "memcached", sev: warn, tree: plus("$memcached_servers = array( 'default' => array( 'cache.internal:11211' ) );")},
		{id: "C12", name: "no prefix", sev: warn, tree: all(unset("WP_CACHE_KEY_SALT"), put("wp-content/object-cache.php", "<?php\n")), with: waived("D03", "wp-content/object-cache.php")},

		{id: "C13", name: "content", sev: block, tree: plus("define( 'WP_CONTENT_DIR', '/mnt/content' );")},
		{id: "C13", name: "content above", sev: block, tree: plus("define( 'WP_CONTENT_DIR', dirname( __DIR__ ) . '/content' );")},
		{id: "C13", name: "debian's", sev: block, tree: plus("if (!defined('WP_CONTENT_DIR') && !defined('DONT_SET_WP_CONTENT_DIR')) define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');")},
		{id: "C13", name: "languages", sev: warn, tree: plus("define( 'WP_LANG_DIR', '/mnt/languages' );")},
		{id: "C13", name: "scratch space", sev: warn, tree: plus("define( 'WP_TEMP_DIR', ABSPATH . 'wp-content/tmp' );")},

		{id: "C14", name: "a plugin", sev: warn, tree: put(cart+"s.php", "<?php\nsession_start();\n"), at: cart + "s.php:2"},
		{id: "C14", name: "files", sev: block, tree: put(cart+"s.php", "<?php\nsession_start();\n"),
			node: edited("php/8.2/fpm/php.ini", "session.save_handler = memcached\nsession.save_path = sessions.internal:11211\n", "")},

		{id: "C15", name: "domain", sev: warn, tree: plus("define( 'COOKIE_DOMAIN', 'shop.example' );"), with: before()},
		{id: "C16", name: "half", sev: warn, tree: plus("define( 'MULTISITE', true );")},
		{id: "C16", name: "sunrise", sev: warn, tree: plus("define( 'SUNRISE', true );")},
		{id: "C17", name: "localhost", sev: block, tree: defined("DB_HOST", "'localhost:3306'")},
		{id: "C17", name: "socket", sev: block, tree: defined("DB_HOST", "'localhost:/run/mysqld/mysqld.sock'")},
		{id: "C18", name: "undecided", sev: info, tree: unset("WP_HTTP_BLOCK_EXTERNAL")},
		{id: "C19", name: "prefix", sev: block, tree: configured("'wp_'", "'shop_'"), with: before(), at: "wp-config.php:22"},
		{id: "C20", name: "path", sev: block, with: inDatabase(func(d *database.Facts) { d.UploadPath = "/home/mia/shop/uploads" })},
		{id: "C20", name: "url", sev: block, with: inDatabase(func(d *database.Facts) { d.UploadURLPath = "http://localhost/uploads" })},
	}
}

func serverCases() []checkCase {
	cached := all(plus("define( 'WP_CACHE', true );"), put("wp-content/advanced-cache.php", "<?php\n"))
	redis := put("wp-content/object-cache.php", "<?php\nclass X { function f() { return new Redis(); } }\n")
	return []checkCase{
		{id: "D01", name: "maintenance", sev: info, tree: put("wp-content/maintenance.php", "<?php\n")},
		{id: "D02", name: "without WP_CACHE", sev: warn, tree: put("wp-content/advanced-cache.php", "<?php\n")},
		{id: "D02", name: "without its plugin", sev: warn, tree: all(cached, put("wp-content/advanced-cache.php", "<?php // WP_ROCKET\n"))},
		{id: "D02", name: "foreign path", sev: block, at: "wp-content/advanced-cache.php:2",
			tree: all(cached, put("wp-content/advanced-cache.php", "<?php\ninclude '/srv/shop/wp-content/plugins/x.php';\n"))},
		{id: "D03", name: "present", sev: warn, tree: redis},
		{id: "D03", name: "extension missing", sev: warn, tree: redis, node: put()},
		{id: "D03", name: "beside the sessions", sev: block, tree: all(redis, plus("$memcached_servers = array( getenv( 'X' ), 'sessions.internal:11211' );")),
			node: edited("php/8.2/fpm/conf.d/20-all.ini", "extension=gd", "extension=gd\nextension=redis")},
		{id: "D04", name: "present", sev: warn, tree: put("wp-content/db.php", "<?php\n")},
		{id: "D05", name: "present", sev: info, tree: put("wp-content/mu-plugins/a.php", "<?php\n")},
		{id: "D06", name: "redirect", sev: warn, tree: put(".htaccess", "# BEGIN WordPress\nRewriteEngine On\n# END WordPress\nRedirect /a /b\n"), at: ".htaccess:4"},
		{id: "D06", name: "of a plugin", sev: warn, tree: put(cart+".htaccess", "Deny from all\n"), at: cart + ".htaccess:0"},
		{id: "D07", name: "memory", sev: warn, tree: put(".user.ini", "memory_limit = 512M\n")},
		{id: "D08", name: "nginx", sev: warn, node: edited("nginx/sites-enabled/shop", "  location ~ /\\.(?!well-known) { deny all; }\n", "")},
	}
}
