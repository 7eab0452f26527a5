<?php
/*
 * Plugin Name: wpbake broken
 * Description: PHP cannot parse it: the line below lacks its end.
 * Version: 1.0.0
 */
add_filter( 'the_title', 'strtoupper'
