<?php
/*
 * Plugin Name: wpbake of the future
 * Description: Asks for a PHP that no node has.
 * Version: 1.0.0
 * Requires PHP: 9.9
 */
