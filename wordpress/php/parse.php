if ( ! function_exists( 'token_get_all' ) ) {
	exit( 9 );
}
foreach ( explode( "\0", stream_get_contents( STDIN ) ) as $name ) {
	$source = $name === '' ? false : @file_get_contents( './' . $name );
	if ( $source === false || strlen( $source ) > 8388608 ) {
		continue;
	}
	try {
		@token_get_all( $source, TOKEN_PARSE );
	} catch ( Throwable $e ) {
		echo $name, "\0", $e->getLine(), "\0", $e->getMessage(), "\0";
	}
}
echo "done\n";
