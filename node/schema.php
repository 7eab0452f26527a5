<?php
// Brings the database of one site up to the code in $core, once: under a lock
// of the database server, and only upwards. Its last line tells what it did.
// Arguments: directory of WordPress, host, path of the site, seconds to wait.

[ , $wpbake_core, $wpbake_host, $wpbake_path, $wpbake_wait ] = $argv;

// Whoever started this may be gone: a schema half way up helps nobody.
ignore_user_abort( true );
set_time_limit( 0 );
ob_start();

// What wp-admin/upgrade.php does: core alone, without plugins.
define( 'WP_INSTALLING', true );
$_SERVER['HTTP_HOST']              = $wpbake_host;
$_SERVER['SERVER_NAME']            = $wpbake_host;
$_SERVER['REQUEST_URI']            = $wpbake_path . 'wp-admin/upgrade.php';
$_SERVER['REQUEST_METHOD']         = 'GET';
$_SERVER['SERVER_PROTOCOL']        = 'HTTP/1.1';
$_SERVER['HTTP_X_FORWARDED_PROTO'] = 'https';

require $wpbake_core . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

function wpbake_fail( $why ) {
	fwrite( STDERR, $why . "\n" );
	exit( 1 );
}

// A connection of its own: the lock lives as long as this process does, and
// no drop-in sends it to a replica.
mysqli_report( MYSQLI_REPORT_OFF );
$wpbake_at = method_exists( $wpdb, 'parse_db_host' ) ? $wpdb->parse_db_host( DB_HOST ) : false;
if ( ! $wpbake_at ) {
	wpbake_fail( 'DB_HOST names no server' );
}
[ $wpbake_server, $wpbake_port, $wpbake_socket, $wpbake_v6 ] = $wpbake_at;
if ( $wpbake_v6 ) {
	$wpbake_server = "[$wpbake_server]";
}
$wpbake_link  = mysqli_init();
$wpbake_flags = defined( 'MYSQL_CLIENT_FLAGS' ) ? MYSQL_CLIENT_FLAGS : 0;
if ( ! mysqli_real_connect( $wpbake_link, $wpbake_server, DB_USER, DB_PASSWORD, DB_NAME, (int) $wpbake_port, $wpbake_socket, $wpbake_flags ) ) {
	wpbake_fail( 'connecting to the database: ' . mysqli_connect_error() );
}

function wpbake_one( $query ) {
	global $wpbake_link;
	$result = mysqli_query( $wpbake_link, $query );
	if ( ! $result ) {
		wpbake_fail( 'asking the database: ' . mysqli_error( $wpbake_link ) );
	}
	if ( true === $result ) {
		return null;
	}
	$row = mysqli_fetch_row( $result );
	return $row ? $row[0] : null;
}

function wpbake_schema() {
	global $wpdb;
	return (int) wpbake_one( "SELECT option_value FROM `{$wpdb->options}` WHERE option_name = 'db_version'" );
}

$wpbake_name = 'wpbake:' . substr( hash( 'sha256', DB_NAME . "\0" . $wpdb->base_prefix ), 0, 32 );
wpbake_one( 'SET SESSION wait_timeout = 28800' ); // the lock's connection is silent while the step runs
if ( '1' !== wpbake_one( "SELECT GET_LOCK('$wpbake_name', " . (int) $wpbake_wait . ')' ) ) {
	wpbake_fail( "another schema step has held the lock for $wpbake_wait seconds" );
}

$wpbake_before = wpbake_schema();
$wpbake_ran    = $wpbake_before > 0 && $wpbake_before < $wp_db_version;
if ( $wpbake_ran ) {
	wp_upgrade();
	if ( is_multisite() && is_main_site() ) {
		update_site_option( 'wpmu_upgrade_site', $wp_db_version );
	}
}
$wpbake_after = wpbake_schema();
$wpbake_held  = wpbake_one( "SELECT IS_USED_LOCK('$wpbake_name') = CONNECTION_ID()" );

ob_end_clean();
echo "\nwpbake:" . json_encode(
	array(
		'before' => $wpbake_before,
		'after'  => $wpbake_after,
		'code'   => $wp_db_version,
		'ran'    => $wpbake_ran,
		'held'   => '1' === $wpbake_held,
	)
) . "\n";
