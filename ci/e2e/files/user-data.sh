#!/bin/sh
# What the owner of a group brings to each node: nginx, PHP-FPM and wpbake's
# node.yaml. It knows no release: that comes with the part that wpbake adds
# below. Until then nginx answers every page with a placeholder.
set -eu

site=@SITE@
sessions=@SESSIONS@

root=${INSTANCE_ROOT:-}
address=$INSTANCE_ADDRESS
fpm=$(for f in /usr/sbin/php-fpm*; do echo "$f"; done | tail -n 1)

# As root each node has a disk of its own and its servers drop their rights.
# Below a directory of its own there is nobody else to become.
user=''
fpm_user=''
php_user=''
rights=''
if [ "$(id -u)" = 0 ]; then
	name=www-data
	[ -z "$root" ] || name=root
	user="user $name;"
	fpm_user="user = $name"
	php_user="php: {user: $name}"
	rights=--allow-to-run-as-root
fi

mkdir -p "$root/etc/wpbake" "$root/run/wpbake" "$root/var/log" "$root/var/tmp/nginx" "$root/srv/wordpress"

cat >"$root/etc/wpbake/nginx.conf" <<CONF
$user
pid $root/run/nginx.pid;
error_log $root/var/log/nginx-error.log;
worker_processes 1;
events { worker_connections 512; }
http {
	include /etc/nginx/mime.types;
	default_type application/octet-stream;
	access_log off;
	client_body_temp_path $root/var/tmp/nginx/body;
	proxy_temp_path $root/var/tmp/nginx/proxy;
	fastcgi_temp_path $root/var/tmp/nginx/fastcgi;
	uwsgi_temp_path $root/var/tmp/nginx/uwsgi;
	scgi_temp_path $root/var/tmp/nginx/scgi;
	# Longer than the load balancer keeps a connection, so that nginx never
	# closes one that a request is on its way through.
	keepalive_timeout 75s;
	keepalive_requests 1000000;
	include $root/etc/wpbake/site.conf;
}
CONF

cat >"$root/etc/wpbake/placeholder.conf" <<CONF
server {
	listen $address:8080;
	add_header X-Wpbake-Release none always;
	location / {
		default_type text/html;
		return 200 "<title>no release yet</title>\n";
	}
}
CONF

# \$realpath_root resolves the link current for every request: the header says
# which release answered, and PHP never mixes two.
cat >"$root/etc/wpbake/wordpress.conf" <<CONF
server {
	listen $address:8080;
	root $root/srv/wordpress/current/wordpress;
	index index.php;
	add_header X-Wpbake-Release \$realpath_root always;

	location ~ /\. { deny all; }
	location ~ ^/wp-content/uploads/.*\.php\$ { deny all; }
	location ~ /wp-admin/(upgrade|install)\.php\$ { deny all; }
	location = /wpb-health {
		include /etc/nginx/fastcgi_params;
		fastcgi_param SCRIPT_NAME /fpm-ping;
		fastcgi_param SCRIPT_FILENAME /fpm-ping;
		fastcgi_pass $address:9000;
	}
	location / { try_files \$uri \$uri/ /index.php?\$args; }
	location ~ \.php\$ {
		try_files \$uri =404;
		include /etc/nginx/fastcgi_params;
		fastcgi_param DOCUMENT_ROOT \$realpath_root;
		fastcgi_param SCRIPT_FILENAME \$realpath_root\$fastcgi_script_name;
		# Debian's file sends \$host, which drops the port: a site on a port
		# of its own would redirect to itself for ever.
		fastcgi_param HTTP_HOST \$http_host;
		fastcgi_pass $address:9000;
	}
}
CONF

# Requests under way end before a process does: process_control_timeout.
cat >"$root/etc/wpbake/php-fpm.conf" <<CONF
[global]
pid = $root/run/php-fpm.pid
error_log = $root/var/log/php-fpm.log
process_control_timeout = 20s
[www]
$fpm_user
listen = $address:9000
pm = static
pm.max_children = 4
ping.path = /fpm-ping
catch_workers_output = yes
clear_env = yes
env[DB_HOST] = \$DB_HOST
env[DB_NAME] = \$DB_NAME
env[DB_USER] = \$DB_USER
env[DB_PASSWORD] = \$DB_PASSWORD
env[WP_HOME] = \$WP_HOME
env[AUTH_KEY] = \$AUTH_KEY
env[SECURE_AUTH_KEY] = \$SECURE_AUTH_KEY
env[LOGGED_IN_KEY] = \$LOGGED_IN_KEY
env[NONCE_KEY] = \$NONCE_KEY
env[AUTH_SALT] = \$AUTH_SALT
env[SECURE_AUTH_SALT] = \$SECURE_AUTH_SALT
env[LOGGED_IN_SALT] = \$LOGGED_IN_SALT
env[NONCE_SALT] = \$NONCE_SALT
env[WPB_NODE] = $INSTANCE_ID
env[TMPDIR] = $root/tmp
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
php_admin_value[error_log] = $root/var/log/php-error.log
php_admin_value[sendmail_path] = /bin/true
php_admin_value[session.save_handler] = memcached
php_admin_value[session.save_path] = $sessions
CONF

# Run by wpbake once the release is in place, and safe to run again.
cat >"$root/etc/wpbake/services" <<SERVICES
#!/bin/sh
set -eu
set -a
. "$root/run/wpbake/environment"
set +a
: >>"$root/var/log/php-error.log"
chmod 0666 "$root/var/log/php-error.log"
if [ -s "$root/run/php-fpm.pid" ] && kill -0 "\$(cat "$root/run/php-fpm.pid")" 2>/dev/null; then
	kill -USR2 "\$(cat "$root/run/php-fpm.pid")"
else
	$fpm $rights --fpm-config "$root/etc/wpbake/php-fpm.conf" \\
		-d opcache.enable=1 -d opcache.validate_timestamps=0 -d opcache.max_accelerated_files=20000
fi
cp "$root/etc/wpbake/wordpress.conf" "$root/etc/wpbake/site.conf"
nginx -e "$root/var/log/nginx-error.log" -c "$root/etc/wpbake/nginx.conf" -s reload
# A reload returns before it is done, on a busy machine seconds before: the
# gate's time is for the release.
php -r 'do { usleep(20000); \$h = @get_headers(\$argv[1], true); } while ("none" === (\$h["X-Wpbake-Release"] ?? "none"));' "http://$address:8080/wp-includes/images/blank.gif"
SERVICES
chmod 0755 "$root/etc/wpbake/services"

cat >"$root/etc/wpbake/node.yaml" <<CONF
root: /srv/wordpress
environment:
  path: /shop/
  file: /run/wpbake/environment
services: [["/etc/wpbake/services"]]
warm: ["/", "/wp-login.php", "/?s=hello", "/feed/", "/?rest_route=/wp/v2/posts"]
gate:
  url: http://$address:8080/
  host: $site
  status: 200
  body: wpbake shop
  timeout: 10s
$php_user
logs: [/var/log/php-error.log, /var/log/php-fpm.log, /var/log/nginx-error.log]
CONF

cp "$root/etc/wpbake/placeholder.conf" "$root/etc/wpbake/site.conf"
nginx -e "$root/var/log/nginx-error.log" -c "$root/etc/wpbake/nginx.conf"

# Until a release is pinned, an adopted group's hook has nobody else to hear.
wpbake node ready --group shop
