package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func scriptRules() []Rule {
	return []Rule{
		{
			ID: "T09", Title: "Debugging and installer scripts", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "They run code or show data for anybody who knows their names.",
			Fix:  "Remove it.",
			find: onAnySite(scripts),
		},
	}
}

// scripts is T09.
func scripts(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		name := strings.ToLower(f.Base())
		switch {
		case f.Info.IsDir() && oneOf(name, "dup-installer", "phpmyadmin", "pma", "search-replace-db"):
			h.block(at(f.Path), "is an installer or a tool for databases")
		case f.IsPHP() && isInstaller(name) && !inVendor(f.Path):
			h.block(at(f.Path), "is an installer or a tool for databases")
		case f.IsPHP() && oneOf(name, "phpinfo.php", "info.php", "test.php") && site.Serves(f.Path):
			h.warn(at(f.Path), "is a script for debugging, by its name")
		case f.IsPHP() && site.Serves(f.Path) && isForeign(f, site):
			h.warn(at(f.Path), "is no file of WordPress, and is open to everybody")
		case site != nil && !site.Owns(f.Path) && !inVendor(f.Path):
			for _, m := range f.Matches {
				if m.Signature == scan.PHPInfo {
					h.warn(atMatch(f, m), "calls phpinfo()")
				}
			}
		}
	}
	return h
}

func isInstaller(name string) bool {
	return oneOf(name, "installer.php", "installer-backup.php", "searchreplacedb2.php") || strings.HasPrefix(name, "adminer")
}

// isForeign reports whether a PHP file of the root is none that WordPress
// or its configuration brings.
func isForeign(f *scan.File, site *wordpress.Site) bool {
	if site == nil || site.WordPress.Layout == wordpress.Bedrock && path.Dir(f.Path) != site.Core && path.Dir(f.Path) != "web" {
		return false
	}
	name := f.Base()
	if name == "index.php" || name == "xmlrpc.php" || strings.HasPrefix(name, "wp-") || name == "wordfence-waf.php" {
		return false
	}
	return site.Config == nil || !slices.Contains(site.Config.Files, f.Path)
}
