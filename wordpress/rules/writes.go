package rules

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func writeRules() []Rule {
	return []Rule{
		{
			ID: "W04", Title: "Settings of a plugin that are kept in files", Severities: warns(), Phase: InTree,
			Why:  "The plugin writes its settings into the tree: a change on one node is on that node only, until it is replaced.",
			Fix:  "Ship the file as code and change it by releases only, or move the settings: W3TC_CONFIG_DATABASE, WP_ROCKET_CONFIG_PATH, CACHE_ENABLER_SETTINGS_DIR; WPCACHEHOME by WP_CONTENT_DIR.",
			find: onSite(settingsFiles),
		},
		{
			ID: "W09", Title: "A plugin that edits translations", Severities: warns(), Phase: InTree,
			Why:  "It writes into wp-content/languages of one node.",
			Fix:  "Translate where releases are made.",
			find: onSite(translators),
		},
		{
			ID: "W10", Title: "A plugin that writes beside its own code", Severities: infos(), Phase: InTree,
			Why:  "The tree is read-only on a node.",
			Fix:  "Look at the place: what it writes must go to uploads, the database or a temporary directory.",
			find: onSite(writers),
		},
	}
}

// settingsFiles is W04.
func settingsFiles(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for _, name := range []string{
		"w3tc-config", "db-cluster-config.php", "wp-cache-config.php", "wp-rocket-config", "settings/cache-enabler", ".litespeed_conf.dat",
	} {
		if p := path.Join(site.Content, name); tree.Has(p) {
			h.warn(at(p), "is written by a plugin, and is code in a release")
		}
	}
	return h
}

var autoPrepend = regexp.MustCompile(`(?im)^\s*(?:php_value\s+)?auto_prepend_file\s*[=\s]\s*['"]?([^'"\s]+)`)

// firewalls is W06 for files that PHP is told to run first.
func firewalls(tree *scan.Tree) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		if !f.Regular() || !oneOf(f.Base(), ".user.ini", "php.ini", ".htaccess") {
			continue
		}
		src, err := tree.ReadFile(f.Path, scan.MaxText)
		if err != nil {
			continue
		}
		m := autoPrepend.FindSubmatchIndex(src)
		if m == nil {
			continue
		}
		target := string(src[m[2]:m[3]])
		if target == "none" || !strings.HasPrefix(target, "/") && tree.Has(path.Join(path.Dir(f.Path), target)) {
			continue
		}
		line := 1 + strings.Count(string(src[:m[2]]), "\n")
		h.block(place{f.Path, line}, "makes PHP run %q first, which is not there on a node", printable.Cut(printable.Clean(target), 100))
	}
	return h
}

// translators is W09.
func translators(_ *scan.Tree, site *wordpress.Site) (h hits) {
	for _, x := range site.Plugins {
		if oneOf(x.Slug, "loco-translate", "loco-translate-pro") {
			h.warn(at(x.File), "%s writes translations into the tree", x.Slug)
		}
	}
	return h
}

// writers is W10: one place for each plugin or theme.
func writers(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for _, x := range slices.Concat(site.Plugins, site.Themes) {
		if x.Dir == "" {
			continue
		}
		if p, n := firstBelow(tree, x.Dir, scan.WritesBeside); n > 0 {
			h.info(p, "%s writes beside its own code, by %d file(s)", x.Slug, n)
		}
	}
	return h
}

// firstBelow returns the first place of a signature below a directory, and how
// many files show it.
func firstBelow(tree *scan.Tree, dir string, s scan.Signature) (first place, n int) {
	files := tree.Below(dir)
	for i := range files {
		f := &files[i]
		if m, ok := f.First(s); ok {
			if n++; n == 1 {
				first = atMatch(f, m)
			}
		}
	}
	return first, n
}
