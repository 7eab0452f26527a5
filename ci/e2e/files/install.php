<?php
// php install.php TREE: installs WordPress into the database that the
// environment names, as the browser's installer would, without a browser.

define( 'WP_INSTALLING', true );
$tree = $argv[1];

$_SERVER['HTTP_HOST']       = parse_url( getenv( 'WP_HOME' ), PHP_URL_HOST ) . ':' . parse_url( getenv( 'WP_HOME' ), PHP_URL_PORT );
$_SERVER['REQUEST_URI']     = '/wp-admin/install.php';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';

// The installer greets the administrator by mail; there is none here.
function wp_mail() {
	return true;
}

require $tree . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

if ( is_blog_installed() ) {
	exit( "the database already holds a WordPress\n" );
}
wp_install( 'wpbake shop', 'admin', 'admin@example.com', true, '', getenv( 'WPB_ADMIN_PASSWORD' ) );
update_option( 'permalink_structure', '/%postname%/' );
// The plugin that a later release brings. WordPress passes over an active
// plugin whose files are not there.
update_option( 'active_plugins', array( 'winter-sale/winter-sale.php' ) );
$GLOBALS['wp_rewrite']->init();
$GLOBALS['wp_rewrite']->flush_rules( false );
for ( $i = 1; $i <= 10; $i++ ) {
	wp_insert_post(
		array(
			'post_title'   => "Candle number $i",
			'post_content' => "<p>A candle that burns for $i hours.</p>",
			'post_status'  => 'publish',
			'post_author'  => 1,
		)
	);
}
