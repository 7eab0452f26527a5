package rules

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func requirementRules() []Rule {
	return []Rule{
		{
			ID: "R01", Title: "WordPress's PHP version", Severities: blocks(), Phase: InNode,
			Why:  "WordPress ends every request on an older PHP.",
			Fix:  "Nodes with a newer PHP, or an older WordPress.",
			find: onPHP(corePHP),
		},
		{
			ID: "R02", Title: "What plugins and themes require", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "WordPress refuses to load or activate what misses its PHP, WordPress, plugin or parent theme; a theme without its parent is an empty page.",
			Fix:  "Install what it requires, or remove it.",
			find: required,
		},
		{
			ID: "R03", Title: "PHP extensions", Severities: blocksOrWarns(), Phase: InNode,
			Why: "WordPress ends without its extensions; with fewer than it recommends, images, mail or HTTP fail.",
			Fix: "Install the extension in the image of the nodes.",
			find: func(v *view) hits {
				if v.site == nil || v.Node == nil {
					return nil
				}
				return extensions(v.site, v.Node)
			},
		},
		{
			ID: "R04", Title: "WordPress's database version", Severities: blocks(), Phase: InData,
			Why:  "WordPress refuses an older database server.",
			Fix:  "A newer MySQL or MariaDB, or an older WordPress.",
			find: onDatabase(databaseServer),
		},
		{
			ID: "R05", Title: "Composer's PHP version", Severities: blocks(), Phase: InNode,
			Why: "vendor/composer/platform_check.php ends every request on an older PHP.",
			Fix: "Run composer install for the PHP of the nodes (config.platform.php).",
			find: func(v *view) hits {
				if v.Node == nil {
					return nil
				}
				return platform(v.tree, v.Node)
			},
		},
		{
			ID: "R06", Title: "PHP newer than the code was written for", Severities: warns(), Phase: InNode,
			Why:  "Old plugins end on new PHP, and no tool sees that in general.",
			Fix:  "Try it on a node before the release; prefer plugins whose headers name a PHP of this age.",
			find: onPHP(newPHP),
		},
	}
}

// corePHP is R01.
func corePHP(site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	if need := site.WordPress.PHP; php.CompareNumbers(node.PHP, need) < 0 {
		h.block(at(path.Join(site.Core, wordpress.VersionFile)), "WordPress %s needs PHP %s, nodes have %s", site.WordPress.Core, need, node.PHP)
	}
	return h
}

// required is R02 with what is known of nodes and database.
func required(v *view) hits {
	if v.site == nil {
		return nil
	}
	version := ""
	if v.Node != nil {
		version = v.Node.PHP
	}
	return headers(v.site, version, v.Database)
}

// headers is R02. Without the database nobody knows what is active, so
// what is missed is a warning; with it, active code blocks. phpVersion is that
// of the nodes; it may be empty.
func headers(site *wordpress.Site, phpVersion string, facts *database.Facts) (h hits) {
	for _, x := range site.Plugins {
		absent := absentVersions(x, phpVersion, site.WordPress.Core)
		for _, slug := range x.Requires {
			if !hasSlug(site.Plugins, slug) {
				absent = append(absent, "requires the plugin "+printable.Clean(slug)+", which is not in the tree")
			}
		}
		h = append(h, requirement(x, facts.Runs(x.Basename()), absent)...)
	}
	for _, x := range site.Themes {
		absent := absentVersions(x, phpVersion, site.WordPress.Core)
		if x.Parent != "" && x.Parent != x.Slug && !hasSlug(site.Themes, x.Parent) {
			absent = append(absent, "is a child of the theme "+x.Parent+", which is not in the tree")
		}
		active := facts != nil && oneOf(x.Slug, facts.Stylesheet, facts.Template)
		h = append(h, requirement(x, active, absent)...)
	}
	return h
}

// absentVersions says which versions a plugin or theme requires and misses.
func absentVersions(x wordpress.Extension, phpVersion, core string) (absent []string) {
	if x.PHP != "" && phpVersion != "" && php.CompareNumbers(phpVersion, x.PHP) < 0 {
		absent = append(absent, "requires PHP "+x.PHP+", nodes have "+phpVersion)
	}
	if x.Core != "" && php.CompareNumbers(core, x.Core) < 0 {
		absent = append(absent, "requires WordPress "+x.Core+", the tree has "+core)
	}
	return absent
}

func requirement(x wordpress.Extension, active bool, absent []string) (h hits) {
	for _, what := range absent {
		if active {
			h.block(at(x.File), "%s %s, and is active", printable.Clean(x.Slug), what)
		} else {
			h.warn(at(x.File), "%s %s", printable.Clean(x.Slug), what)
		}
	}
	return h
}

func hasSlug(list []wordpress.Extension, slug string) bool {
	return slices.ContainsFunc(list, func(x wordpress.Extension) bool { return x.Slug == slug })
}

// extensions is R03.
func extensions(site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	if len(node.Extensions) == 0 {
		return nil
	}
	p := at(path.Join(site.Core, wordpress.VersionFile))
	for _, name := range append([]string{"mysqli"}, site.Extensions...) {
		if !node.Loads(name) {
			h.block(p, "WordPress needs the PHP extension %s, which nodes do not load", printable.Clean(name))
		}
	}
	var absent []string
	for _, name := range []string{"curl", "dom", "exif", "fileinfo", "intl", "mbstring", "openssl", "xml", "zip"} {
		if !node.Loads(name) {
			absent = append(absent, name)
		}
	}
	if !node.Loads("gd") && !node.Loads("imagick") {
		absent = append(absent, "gd or imagick")
	}
	if len(absent) > 0 {
		h.warn(p, "WordPress recommends PHP extensions that nodes do not load: %s", strings.Join(absent, ", "))
	}
	return h
}

// databaseServer is R04.
func databaseServer(site *wordpress.Site, facts *database.Facts) (h hits) {
	if facts.Version == "" {
		return nil
	}
	need := site.WordPress.MySQL
	have := strings.TrimPrefix(facts.Version, "5.5.5-") // as MariaDB says it to old clients
	if php.CompareNumbers(have, need) < 0 {
		h.block(at(path.Join(site.Core, wordpress.VersionFile)), "WordPress %s needs MySQL %s, the database is %s", site.WordPress.Core, need, printable.Clean(have))
	}
	return h
}

var platformID = regexp.MustCompile(`PHP_VERSION_ID\s*>=\s*(\d{5,6})`)

// platform is R05.
func platform(tree *scan.Tree, node *nodeconfig.Config) (h hits) {
	if node.PHP == "" {
		return nil
	}
	have := versionID(node.PHP)
	for i := range tree.Files {
		f := &tree.Files[i]
		if !strings.HasSuffix(f.Path, "vendor/composer/platform_check.php") {
			continue
		}
		src, err := tree.ReadFile(f.Path, scan.MaxText)
		if err != nil {
			continue
		}
		if m := platformID.FindSubmatchIndex(src); m != nil {
			if need, _ := strconv.Atoi(string(src[m[2]:m[3]])); have < need {
				line := 1 + strings.Count(string(src[:m[2]]), "\n")
				h.block(place{f.Path, line}, "packages need PHP %d.%d, nodes have %s", need/10000, need/100%100, node.PHP)
			}
		}
	}
	return h
}

// versionID is PHP_VERSION_ID; "8.2" is any of its patch releases.
func versionID(version string) int {
	major, rest := php.LeadingNumber(version)
	minor, rest := php.LeadingNumber(rest)
	patch, _ := php.LeadingNumber(rest)
	if rest == "" {
		patch = 99
	}
	return major*10000 + minor*100 + patch
}

// newPHP is R06: the newest PHP that a WordPress was made for, by its
// release notes.
func newPHP(site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	for _, row := range []struct{ core, php string }{
		{"6.9", "8.5"}, {"6.7", "8.4"}, {"6.4", "8.3"}, {"6.1", "8.2"}, {"5.9", "8.1"}, {"5.6", "8.0"}, {"0", "7.4"},
	} {
		if php.CompareNumbers(site.WordPress.Core, row.core) < 0 {
			continue
		}
		if newest := majorMinor(node.PHP); php.CompareNumbers(newest, row.php) > 0 {
			h.warn(at(path.Join(site.Core, wordpress.VersionFile)), "WordPress %s was made for PHP up to %s, nodes have %s", site.WordPress.Core, row.php, node.PHP)
		}
		break
	}
	return h
}

func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}
