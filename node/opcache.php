<?php
// Run once by PHP-FPM, past the web server: only FPM's own processes know its
// cache. It prints numbers and settings, no paths of scripts.
header( 'Content-Type: application/json' );
echo json_encode( array(
	'php'           => PHP_VERSION,
	'configuration' => function_exists( 'opcache_get_configuration' ) ? @opcache_get_configuration() : false,
	'status'        => function_exists( 'opcache_get_status' ) ? @opcache_get_status( false ) : false,
) );
