<?php
/*
 * Plugin Name: wpbake shop
 * Description: Keeps carts in the PHP session, and orders in a table that follows the code by itself, as WooCommerce's do.
 * Version: 1.0.0
 * Requires PHP: 7.4
 */

const WPB_SHOP_VERSION = '1.0.0';

// What each version added to the table.
const WPB_SHOP_COLUMNS = array(
	'1' => 'items int NOT NULL',
	'2' => 'gift tinyint NOT NULL DEFAULT 0',
);

// The first request to newer code brings the table up; older code leaves it as
// it is.
add_action(
	'init',
	function () {
		global $wpdb;
		if ( version_compare( get_option( 'wpb_shop_version', '0' ), WPB_SHOP_VERSION, '>=' ) ) {
			return;
		}
		require_once ABSPATH . 'wp-admin/includes/upgrade.php';
		$columns = '';
		foreach ( WPB_SHOP_COLUMNS as $since => $column ) {
			if ( version_compare( $since, WPB_SHOP_VERSION, '<=' ) ) {
				$columns .= "$column,\n";
			}
		}
		dbDelta( "CREATE TABLE {$wpdb->prefix}wpb_orders (\nid bigint NOT NULL AUTO_INCREMENT,\n{$columns}PRIMARY KEY  (id)\n)" );
		update_option( 'wpb_shop_version', WPB_SHOP_VERSION );
	}
);

// /wpb-cart shows the cart, /wpb-cart?add=7 puts item 7 into it, and
// /wpb-cart?buy=1 makes an order of it: "cart=3 5,6,7", "bought=3 5,6,7".
add_action(
	'init',
	function () {
		global $wpdb;
		if ( '/wpb-cart' !== strtok( $_SERVER['REQUEST_URI'], '?' ) ) {
			return;
		}
		session_start();
		$cart = $_SESSION['cart'] ?? array();
		$what = 'cart';
		if ( isset( $_GET['add'] ) ) {
			$cart[]           = (int) $_GET['add'];
			$_SESSION['cart'] = $cart;
		} elseif ( isset( $_GET['buy'] ) ) {
			$wpdb->insert( $wpdb->prefix . 'wpb_orders', array( 'items' => count( $cart ) ) );
			$_SESSION['cart'] = array();
			$what             = 'bought';
		}
		session_write_close();
		header( 'Content-Type: text/plain' );
		header( 'Cache-Control: no-store' );
		echo $what . '=' . count( $cart ) . ' ' . implode( ',', $cart );
		exit;
	},
	20
);
