<?php
/*
 * Plugin Name: wpbake file writer
 * Description: Writes where no plugin may on a node, beside its own code and into cache/, and where it may.
 * Version: 1.0.0
 */

// /wpb-write tries each place and tells what came of it, a line a place, such
// as "cache: Permission denied" or "temporary: written".
add_action(
	'init',
	function () {
		if ( '/wpb-write' !== strtok( $_SERVER['REQUEST_URI'], '?' ) ) {
			return;
		}
		$shell  = "<?php echo 'this came from outside';\n";
		$places = array(
			'own'       => __DIR__ . '/log.txt',
			'itself'    => __FILE__,
			'cache'     => WP_CONTENT_DIR . '/cache/page.html',
			'root'      => ABSPATH . 'wpb-shell.php',
			'temporary' => sys_get_temp_dir() . '/wpb-shell.php',
		);
		header( 'Content-Type: text/plain' );
		header( 'Cache-Control: no-store' );
		foreach ( $places as $name => $file ) {
			error_clear_last();
			$came = is_dir( dirname( $file ) ) || @mkdir( dirname( $file ) );
			// Appending: a node that lets this pass keeps a plugin that runs.
			$came = $came && false !== @file_put_contents( $file, 'itself' === $name ? "\n" : $shell, FILE_APPEND );
			echo $name . ': ' . ( $came ? 'written' : preg_replace( '/.*: /', '', error_get_last()['message'] ) ) . "\n";
		}
		exit;
	}
);
