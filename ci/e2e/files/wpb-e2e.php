<?php
/*
 * Plugin Name: wpbake end-to-end
 * Description: Lets the load client see which node answered and whether its session lived on.
 */

add_action(
	'send_headers',
	function () {
		header( 'X-Wpb-Node: ' . getenv( 'WPB_NODE' ) );
	}
);

// A page that counts its visits in the PHP session, as a shop keeps its cart.
add_action(
	'init',
	function () {
		if ( '/wpb-session' !== strtok( $_SERVER['REQUEST_URI'], '?' ) ) {
			return;
		}
		session_start();
		$_SESSION['visits'] = ( $_SESSION['visits'] ?? 0 ) + 1;
		$visits             = $_SESSION['visits'];
		session_write_close();
		header( 'Content-Type: text/plain' );
		header( 'Cache-Control: no-store' );
		echo 'visits=' . $visits;
		exit;
	}
);
