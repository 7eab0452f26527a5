package database

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/php"
)

// State is what one read-only look at a site's database told. It holds
// counts, versions and names, and nothing of any person or secret.
type State struct {
	At         time.Time         `json:"at"`
	Schema     int               `json:"schema"`                 // option db_version
	Users      int64             `json:"users"`                  // rows in the table of users
	NewHashes  int64             `json:"new_hashes"`             // of these, passwords that only WordPress 6.8 and later can verify
	Active     []string          `json:"active_plugins"`         // main files, such as shop/shop.php; those of the whole network among them
	Template   string            `json:"template"`               // directory of the active theme, or of its parent
	Stylesheet string            `json:"stylesheet"`             // directory of the active theme
	Versions   map[string]string `json:"versions,omitempty"`     // what plugins keep of their own schema, by option
	Multisite  bool              `json:"multisite,omitempty"`    // Active, Template and Stylesheet are the main site's
	Behind     int               `json:"behind,omitempty"`       // sites of a network whose schema is older than the main site's
	KeysInTree bool              `json:"keys_in_tree,omitempty"` // the release itself brings keys and salts
	Keys       string            `json:"keys,omitempty"`         // fingerprint of keys and salts, with KeysInTree
}

// Options in which WooCommerce says what it has made of the database.
const (
	wooVersion = "woocommerce_version"
	wooSchema  = "woocommerce_db_version"
	wooOrders  = "woocommerce_custom_orders_table_enabled"
)

// VersionOptions are the options that Versions is made from.
func VersionOptions() []string { return []string{wooVersion, wooSchema, wooOrders} }

// active reports whether a plugin is switched on.
func (d *State) active(slug string) bool {
	return d != nil && slices.ContainsFunc(d.Active, func(file string) bool { return PluginSlug(file) == slug })
}

// Uses reports whether the site has a part of WordPress switched on; of a state that
// is not known, nothing.
func (d *State) Uses(c wordpress.Change) bool {
	switch {
	case d == nil:
		return false
	case c.Kind == "theme":
		return c.Slug == d.Stylesheet || c.Slug == d.Template
	}
	return c.Kind == "plugin" && d.active(c.Slug)
}

// PluginSlug is the slug of a plugin by its main file: the directory, or the
// file without .php.
func PluginSlug(file string) string {
	if dir, _, ok := strings.Cut(file, "/"); ok {
		return dir
	}
	return strings.TrimSuffix(path.Base(file), ".php")
}

// ActivePlugins reads option active_plugins, a list of main files.
func ActivePlugins(option string) ([]string, bool) { return php.FlatArray(option, false) }

// NetworkPlugins reads the network's active_sitewide_plugins, whose keys are
// main files.
func NetworkPlugins(option string) ([]string, bool) { return php.FlatArray(option, true) }
