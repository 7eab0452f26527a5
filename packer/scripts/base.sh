#!/bin/sh
# Makes the machine that it runs on a base image: nginx, PHP-FPM, PHP's client
# of memcached and wpbake, set up as docs/node.md says, for Debian, Ubuntu and
# Amazon Linux 2023. It needs root.
#
#   WPBAKE_FILES      directory with the files of packer/files, and wpbake itself
#   WPBAKE_LISTEN     what nginx listens on: a port, or ADDRESS:PORT
#   WPBAKE_CHILDREN   processes of PHP
#   WPBAKE_HOST       host name of the site, for the gate; "" for none
#   WPBAKE_BODY       text that every page of the site has; "" for none
#   WPBAKE_PARAMETERS path of the site's parameters, such as /shop/; "" for none
#   WPBAKE_NODE_YAML  a whole node.yaml in base64, instead of these three; "" for none
set -eu

. /etc/os-release

# cloud-init may still be installing something.
if command -v cloud-init >/dev/null; then
	cloud-init status --wait >/dev/null || true
fi

debian() {
	wanted='nginx php-fpm php-cli php-mysql php-memcached php-gd php-xml php-mbstring php-curl php-zip php-intl ca-certificates'
	missing=
	for package in $wanted; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
	done
	if [ -n "$missing" ]; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q
		# shellcheck disable=SC2086
		apt-get install -q -y --no-install-recommends $missing
		apt-get clean
	fi
	php=$(php -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
	fpm=php$php-fpm
	program=/usr/sbin/php-fpm$php
	ini=/etc/php/$php/fpm/conf.d
	pool=/etc/php/$php/fpm/pool.d
	web=www-data
	php_user=www-data
	rm -f /etc/nginx/sites-enabled/default
}

# Amazon Linux has no package of PHP's client of memcached: PECL builds it.
amazon() {
	dnf install -q -y nginx php8.3-fpm php8.3-cli php8.3-mysqlnd php8.3-gd php8.3-xml php8.3-mbstring php8.3-zip php8.3-intl php8.3-opcache \
		php8.3-devel php-pear gcc make libmemcached-awesome-devel zlib-devel ca-certificates
	if ! php -m | grep -qx memcached; then
		yes '' | pecl install memcached-3.3.0
		echo 'extension = memcached.so' >/etc/php.d/50-memcached.ini
	fi
	dnf clean all -q
	fpm='php-fpm'
	program=/usr/sbin/php-fpm
	ini=/etc/php.d
	pool=/etc/php-fpm.d
	web=nginx
	php_user=apache
	# The distribution's pool names who may use its socket otherwise.
	sed -i 's/^listen.acl_users/;&/' /etc/php-fpm.d/www.conf
}

case $ID in
debian | ubuntu) debian ;;
amzn) amazon ;;
*)
	echo "base.sh: $ID is none of debian, ubuntu and amzn" >&2
	exit 2
	;;
esac

# put installs a file of packer/files with its places filled in.
put() {
	mkdir -p "$(dirname "$2")"
	sed -e "s|@FPM@|$fpm|g; s|@FPMPROGRAM@|$program|g; s|@WEB@|$web|g" \
		-e "s|@LISTEN@|$WPBAKE_LISTEN|g; s|@CHILDREN@|$WPBAKE_CHILDREN|g" "$WPBAKE_FILES/$1" >"$2"
	chmod "${3:-0644}" "$2"
}

install -D -m 0755 "$WPBAKE_FILES/wpbake" /usr/local/bin/wpbake
put wpbake-boot.service /etc/systemd/system/wpbake-boot.service
put nginx-dropin.conf /etc/systemd/system/nginx.service.d/wpbake.conf
put fpm-dropin.conf "/etc/systemd/system/$fpm.service.d/wpbake.conf"
put tmpfiles.conf /etc/tmpfiles.d/wpbake.conf
put php.ini "$ini/99-wpbake.ini"
put fpm.conf "$pool/zz-wpbake.conf"
put nginx.conf /etc/nginx/conf.d/wpbake.conf
put services /usr/local/lib/wpbake/services 0755
mkdir -p /srv/wordpress/releases /run/wpbake
: >>/var/log/php-error.log
chown "$php_user" /var/log/php-error.log
chmod 0640 /var/log/php-error.log

# quoted is one value of YAML.
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

case $WPBAKE_LISTEN in
*:*) gate=http://$WPBAKE_LISTEN/ ;;
*) gate=http://127.0.0.1:$WPBAKE_LISTEN/ ;;
esac
mkdir -p /etc/wpbake
if [ -n "$WPBAKE_NODE_YAML" ]; then
	printf %s "$WPBAKE_NODE_YAML" | base64 -d >/etc/wpbake/node.yaml
else
	{
		echo 'services: [["/usr/local/lib/wpbake/services"]]'
		echo "php: {command: [php], user: $php_user, fpm: 'unix:/run/wpbake/php-fpm.sock'}"
		echo 'logs: [/var/log/php-error.log, /var/log/nginx/error.log]'
		echo 'gate:'
		echo "  url: $gate"
		if [ -n "$WPBAKE_HOST" ]; then
			echo "  host: $(quoted "$WPBAKE_HOST")"
			echo '  headers: {X-Forwarded-Proto: https}'
		fi
		[ -z "$WPBAKE_BODY" ] || echo "  body: $(quoted "$WPBAKE_BODY")"
		[ -z "$WPBAKE_PARAMETERS" ] || printf 'environment:\n  path: %s\n' "$(quoted "$WPBAKE_PARAMETERS")"
	} >/etc/wpbake/node.yaml
fi

# Nothing that would not start leaves this machine.
"$program" -t
nginx -t
wpbake node resume
systemd-analyze verify /etc/systemd/system/wpbake-boot.service
# The links are made also where no systemd runs.
systemctl enable wpbake-boot.service nginx.service "$fpm.service"
