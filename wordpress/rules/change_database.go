package rules

import (
	"path"
	"slices"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func databaseChangeRules() []Rule {
	return []Rule{
		{
			ID: "C19", Title: "The prefix of tables changed", Severities: blocks(), Phase: InChange,
			Why:  "WordPress finds no tables and shows the installer.",
			Fix:  "Leave $table_prefix as it is.",
			find: onConfigChange(tablePrefix),
		},
		{
			ID: "C20", Title: "A path for uploads in the database", Severities: blocks(), Phase: InData,
			Why: "The options upload_path and upload_url_path override all configuration, with a path of another machine.",
			Fix: "Empty both options.",
			find: func(v *view) hits {
				if v.Database == nil {
					return nil
				}
				return uploadPath(v.Database)
			},
		},
		{
			ID: "X02", Title: "Another version of the database", Severities: warns(), Phase: InChange,
			Why:  "wp-admin leads to upgrade.php until the database fits, on old and new nodes alike.",
			Fix:  "Let wpbake run the schema step after the rollout, once.",
			find: onChange(schema),
		},
		{
			ID: "X03", Title: "A one-way change of the database", Severities: blocks(), Phase: InChange,
			Why:  "Code of before does not work with what the code of now makes of the database.",
			Fix:  "A snapshot of the database first; then waive it by name: this is the acknowledgement.",
			find: all(onChange(passwords), onChange(pluginTables)),
		},
		{
			ID: "X04", Title: "A plugin that is gone while it is active", Severities: blocksOrWarns(), Phase: InChange,
			Why: "A visit to the plugins' page on a node without it deactivates it for the whole fleet, and a rollback does not bring it back.",
			Fix: "Deactivate it first; remove its files in the next release.",
			find: func(v *view) hits {
				if v.Database != nil {
					return onDatabase(absentPlugins)(v)
				}
				return onChange(gonePlugins)(v)
			},
		},
		{
			ID: "X05", Title: "The active theme is missing", Severities: blocks(), Phase: InData,
			Why:  "Every page is empty, with HTTP status 200.",
			Fix:  "Ship the theme and its parent, or switch the theme first.",
			find: onDatabase(absentTheme),
		},
	}
}

// schema is X02.
func schema(was, is *wordpress.Site) (h hits) {
	if old, now := was.WordPress.DBVersion, is.WordPress.DBVersion; old != now {
		h.warn(at(path.Join(is.Core, wordpress.VersionFile)), "$wp_db_version %d becomes %d", old, now)
	}
	return h
}

// passwords is X03 for WordPress itself.
func passwords(was, is *wordpress.Site) (h hits) {
	const hashes = "6.8"
	p := at(path.Join(is.Core, wordpress.VersionFile))
	switch old, now := php.CompareNumbers(was.WordPress.Core, hashes) < 0, php.CompareNumbers(is.WordPress.Core, hashes) < 0; {
	case old && !now:
		h.block(p, "passwords are stored anew from WordPress %s on: whoever logs in cannot log in after a rollback", hashes)
	case !old && now:
		h.block(p, "WordPress before %s rejects the passwords of all who have logged in since", hashes)
	}
	return h
}

// pluginTables is X03 for plugins that migrate their tables.
func pluginTables(was, is *wordpress.Site) (h hits) {
	for _, x := range was.Plugins {
		now, ok := same(is, x)
		if ok && x.Slug == "woocommerce" && php.CompareNumbers(now.Version, x.Version) > 0 && majorMinor(now.Version) != majorMinor(x.Version) {
			h.block(at(now.File), "WooCommerce %s becomes %s: it migrates its tables on the first request, and does not go back", x.Version, now.Version)
		}
	}
	return h
}

// gonePlugins is X04 where nobody knows what is active.
func gonePlugins(was, is *wordpress.Site) (h hits) {
	for _, x := range was.Plugins {
		if _, ok := same(is, x); !ok {
			h.warn(at(x.File), "is gone: it must not be active")
		}
	}
	return h
}

// absentPlugins is X04 where the database says what is active.
func absentPlugins(site *wordpress.Site, facts *database.Facts) (h hits) {
	for _, name := range facts.ActivePlugins {
		if !slices.ContainsFunc(site.Plugins, func(x wordpress.Extension) bool { return x.Basename() == name }) {
			h.block(at(path.Join(site.Content, "plugins", path.Clean("/"+name))), "is active, and is not in the tree")
		}
	}
	return h
}

// absentTheme is X05.
func absentTheme(site *wordpress.Site, facts *database.Facts) (h hits) {
	for _, slug := range slices.Compact([]string{facts.Template, facts.Stylesheet}) {
		if slug != "" && !hasSlug(site.Themes, slug) {
			h.block(at(path.Join(site.Content, "themes", slug)), "is the active theme, and is not in the tree")
		}
	}
	return h
}

// tablePrefix is C19.
func tablePrefix(was, is *wpconfig.Config) (h hits) {
	old, _ := was.Variable("table_prefix")
	now, ok := is.Variable("table_prefix")
	if ok && old.Value.Kind == php.String && now.Value.Kind == php.String && old.Value.Text != now.Value.Text {
		h.block(atConstant(now), "$table_prefix %q becomes %q", old.Value.Text, now.Value.Text)
	}
	return h
}

// uploadPath is C20.
func uploadPath(facts *database.Facts) (h hits) {
	for _, option := range []struct{ name, value string }{
		{"upload_path", facts.UploadPath}, {"upload_url_path", facts.UploadURLPath},
	} {
		if option.value != "" && option.value != "wp-content/uploads" {
			h.block(at("."), "the option %s of the database is %q", option.name, printable.Cut(printable.Clean(option.value), 100))
		}
	}
	return h
}
