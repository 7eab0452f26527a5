<?php
// php network.php TREE make|site: makes the WordPress of a database a network,
// or adds a site to it.

define( 'WP_INSTALLING', true );
$_SERVER['HTTP_HOST']       = '127.0.0.1';
$_SERVER['REQUEST_URI']     = '/';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';

function wp_mail() {
	return true;
}

require $argv[1] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

if ( 'make' === $argv[2] ) {
	foreach ( $wpdb->tables( 'ms_global' ) as $table => $name ) {
		$wpdb->$table = $name;
	}
	install_network();
	$made = populate_network( 1, '127.0.0.1', 'admin@example.com', 'wpbake shops', '/', false );
} else {
	$made = wp_insert_site(
		array(
			'domain'     => '127.0.0.1',
			'path'       => '/second/',
			'network_id' => 1,
			'user_id'    => 1,
			'title'      => 'second shop',
		)
	);
}
if ( is_wp_error( $made ) ) {
	fwrite( STDERR, $made->get_error_message() . "\n" );
	exit( 1 );
}
