// Package wpconfig reads wp-config.php, and the files of the tree that it
// requires: which constants and variables they define, from what, and on which
// condition.
//
// It refuses to run them, and to judge what they say.
package wpconfig
