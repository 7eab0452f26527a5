// Package module tests the module as its users get it: from a proxy, into an
// empty cache.
package module
