// Package database knows what a site keeps in its database, and what of it no
// release can take back.
//
// It refuses to ask: whoever can reach the database does.
package database

import "slices"

// Facts is what rules want to know of the live database. Nothing here asks
// for it: whoever can reach the database does.
type Facts struct {
	Version       string   `json:"version"`    // of the server, such as 10.11.6-MariaDB
	DBVersion     int      `json:"db_version"` // the option
	SiteURL       string   `json:"siteurl"`
	Template      string   `json:"template"` // the parent of the active theme, or itself
	Stylesheet    string   `json:"stylesheet"`
	ActivePlugins []string `json:"active_plugins"` // such as shop/shop.php
	UploadPath    string   `json:"upload_path"`
	UploadURLPath string   `json:"upload_url_path"`
}

// Runs reports whether a plugin is active, by what WordPress calls it.
func (d *Facts) Runs(basename string) bool {
	return d != nil && slices.Contains(d.ActivePlugins, basename)
}
