package rules_test

import (
	"fmt"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/rules"
)

const versionPHP = "wp-includes/version.php"

func needCases() []checkCase {
	cartNeeds := func(header string) func(fstest.MapFS) {
		return put(cart+"cart.php", "<?php\n/*\n * Plugin Name: Cart\n * Version: 2.1\n * "+header+"\n */\n")
	}
	active := inDatabase(func(*database.Facts) {})
	child := put("wp-content/themes/child/style.css", "/*\nTheme Name: Child\nTemplate: parent\n*/")
	platform := put("vendor/composer/platform_check.php", "<?php\nif (!(PHP_VERSION_ID >= 80300)) {\n}\n")
	return []checkCase{
		{id: "R01", name: "old php", sev: block, tree: edited(versionPHP, "7.2.24", "8.3"), node: put(), at: versionPHP + ":0"},
		{id: "R02", name: "php", sev: warn, tree: cartNeeds("Requires PHP: 9.9"), node: put(), at: cart + "cart.php:0"},
		{id: "R02", name: "wordpress", sev: warn, tree: cartNeeds("Requires at least: 6.9")},
		{id: "R02", name: "active", sev: block, tree: cartNeeds("Requires at least: 6.9"), with: active},
		{id: "R02", name: "plugin", sev: warn, tree: cartNeeds("Requires Plugins: woocommerce")},
		{id: "R02", name: "parent", sev: warn, tree: child},
		{id: "R03", name: "needed", sev: block, node: edited("php/8.2/fpm/conf.d/20-all.ini", "extension=mysqli\n", "")},
		{id: "R03", name: "recommended", sev: warn, node: edited("php/8.2/fpm/conf.d/20-all.ini", "extension=gd\n", "")},
		{id: "R04", name: "old database", sev: block, with: inDatabase(func(d *database.Facts) { d.Version = "5.1.73-log" })},
		{id: "R05", name: "platform", sev: block, tree: platform, node: put(), at: "vendor/composer/platform_check.php:2"},
		{id: "R06", name: "new php", sev: warn, tree: edited(versionPHP, "6.8.3", "6.0"), node: put()},
	}
}

func changeCases() []checkCase {
	other := put("wp-content/plugins/forms/forms.php", "<?php // Plugin Name: Forms\n")
	version := func(core, db string) func(fstest.MapFS) {
		return all(edited(versionPHP, "6.8.3", core), edited(versionPHP, "60421", db))
	}
	woo := func(v string) func(fstest.MapFS) {
		return put("wp-content/plugins/woocommerce/woocommerce.php", "<?php\n/*\n * Plugin Name: WooCommerce\n * Version: "+v+"\n */")
	}
	return []checkCase{
		{id: "X01", name: "core", sev: info, with: before(version("6.8.2", "60421")), at: versionPHP + ":0"},
		{id: "X02", name: "schema", sev: warn, with: before(version("6.8.3", "58975"))},
		{id: "X03", name: "passwords", sev: block, with: waivedAlso(before(version("6.7.5", "60421")), "X01", versionPHP)},
		{id: "X03", name: "passwords, downwards", sev: block, tree: version("6.7.5", "60421"), with: waivedAlso(before(), "X01", versionPHP)},
		{id: "X03", name: "woocommerce", sev: block, tree: woo("10.2.0"), with: before(woo("9.9.1"))},
		{id: "X04", name: "gone", sev: warn, with: before(other), at: "wp-content/plugins/forms/forms.php:0"},
		{id: "X04", name: "gone and active", sev: block, with: inDatabase(func(d *database.Facts) { d.ActivePlugins = []string{"forms/forms.php"} })},
		{id: "X04", name: "renamed and active", sev: block, with: inDatabase(func(d *database.Facts) { d.ActivePlugins = []string{"cart/index.php"} })},
		{id: "X05", name: "theme", sev: block, with: inDatabase(func(d *database.Facts) { d.Stylesheet = "winter" }), at: "wp-content/themes/winter:0"},
		{id: "X05", name: "parent", sev: block, with: inDatabase(func(d *database.Facts) { d.Template = "winter" })},
		{id: "X06", name: "new", sev: info, tree: other, with: before()},
		{id: "X07", name: "older", sev: warn, with: before(edited(cart+"cart.php", "2.1", "2.10"))},
		{id: "X08", name: "bundle", sev: warn, with: before(put(theme+"assets/app.9f3.js", "x")), at: theme + "assets/app.9f3.js:0"},
		{id: "X09", name: "cache prefix", sev: warn, tree: defined("WP_CACHE_KEY_SALT", "'b'"), with: before(defined("WP_CACHE_KEY_SALT", "'a'"))},
		{id: "X10", name: "changed", sev: info, tree: put("wp-content/db-error.php", "<?php // b\n"), with: waivedAlso(before(put("wp-content/db-error.php", "<?php // a\n")), "D01", "wp-content/db-error.php")},
		{id: "X11", name: "root", sev: warn, node: edited("nginx/sites-enabled/shop", "/srv/wordpress/current", "/srv/shop/releases/20260101120000")},
	}
}

// waived lets one other rule pass, where one fault is two findings.
func waived(id, path string) func(*rules.Options) {
	return func(o *rules.Options) {
		o.Waivers = append(o.Waivers, rules.Waiver{ID: id, Path: path, Reason: "the case is about another rule"})
	}
}

func waivedAlso(with func(*rules.Options), id, path string) func(*rules.Options) {
	return func(o *rules.Options) {
		with(o)
		waived(id, path)(o)
	}
}

// many adds so many files of PHP.
func many(n int) func(fstest.MapFS) {
	return func(m fstest.MapFS) {
		for i := range n {
			put(fmt.Sprintf("wp-content/plugins/cart/lib/%d.php", i), "<?php\n")(m)
		}
	}
}

func nodeCases() []checkCase {
	const (
		nginx = "nginx/sites-enabled/shop"
		ini   = "php/8.2/fpm/php.ini"
		pool  = "php/8.2/fpm/pool.d/www.conf"
		boot  = "wpbake/node.yaml"
	)
	set := func(file, line string) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			m[file] = &fstest.MapFile{Data: append(m[file].Data[:len(m[file].Data):len(m[file].Data)], line+"\n"...), Mode: 0o644}
		}
	}
	return []checkCase{
		{id: "N01", name: "off", sev: warn, node: set(ini, "opcache.enable = 0"), at: "image/etc/" + ini + ":7"},
		{id: "N01", name: "looks at files", sev: warn, node: edited(ini, "opcache.validate_timestamps = 0\n", "")},
		{id: "N01", name: "small", sev: warn, node: set(ini, "opcache.memory_consumption = 64")},
		{id: "N01", name: "few strings", sev: warn, node: set(ini, "opcache.interned_strings_buffer = 8")},
		{id: "N01", name: "fewer places than files", sev: warn, tree: many(10001), node: set(ini, "opcache.max_accelerated_files = 10000"), at: "image/etc/" + ini + ":7"},
		{id: "N01", name: "no more places than PHP has", sev: warn, tree: many(10001), node: set(ini, "")},
		{id: "N01", name: "in a pool", sev: warn, node: set(pool, "php_admin_value[opcache.memory_consumption] = 256")},
		{id: "N02", name: "read-only", sev: warn, node: set(ini, "opcache.file_cache = /srv/wordpress/current/opcache")},
		{id: "N02", name: "too early", sev: warn, node: set(ini, "opcache.file_cache = /var/cache/opcache\nopcache.file_cache_read_only = 1")},
		{id: "N03", name: "preload", sev: warn, node: set(ini, "opcache.preload = /srv/preload.php")},
		{id: "N04", name: "cold", sev: warn, node: edited(boot, "warm: [/]\n", "warm: []\n")},
		{id: "N05", name: "small", sev: warn, node: edited(ini, "4096k", "16k")},
		{id: "N06", name: "unset", sev: warn, node: edited("php/8.2/fpm/php-fpm.conf", "process_control_timeout = 20s\n", "daemonize = no\n")},
		{id: "N06", name: "zero", sev: warn, node: edited("php/8.2/fpm/php-fpm.conf", "20s", "0s")},
		{id: "N07", name: "process", sev: warn, node: edited("systemd/system/php8.2-fpm.service.d/kill.conf", "mixed", "process")},
		{id: "N08", name: "dynamic", sev: warn, node: edited(pool, "static", "dynamic")},
		{id: "N08", name: "no ping", sev: warn, node: edited(pool, "ping.path = /fpm-ping\n", "")},
		{id: "N08", name: "all of the environment", sev: warn, node: edited(pool, "clear_env = yes", "clear_env = no")},
		{id: "N09", name: "port", sev: warn, node: all(set(nginx, "fastcgi_param HTTP_HOST $host;"), edited(nginx, "listen 80", "listen 8080"))},
		{id: "N10", name: "permalinks", sev: warn, node: edited(nginx, "try_files $uri $uri/ /index.php?$args;", "")},
		{id: "N10", name: "uploads", sev: warn, node: edited(nginx, "location ~* /uploads/.*\\.php$ { deny all; }", "")},
		{id: "N10", name: "bodies", sev: warn, node: edited(nginx, "client_max_body_size 64m;", "")},
		{id: "N10", name: "keepalive", sev: warn, node: edited(nginx, "75s", "30s")},
		{id: "N10", name: "visitors", sev: warn, node: edited(nginx, "real_ip_header X-Forwarded-For;", "")},
		{id: "N11", name: "no text", sev: warn, node: edited(boot, "  body: Shop\n", "")},
		{id: "N12", name: "login", sev: warn, node: edited(boot, "127.0.0.1/", "127.0.0.1/wp-login.php")},
		{id: "N13", name: "scratch", sev: warn, node: set(ini, "upload_tmp_dir = /srv/wordpress/current/tmp")},
		{id: "N14", name: "mail", sev: warn, node: edited(ini, "sendmail_path = /usr/bin/msmtp -t\n", "")},
	}
}
