package rules

import (
	"fmt"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func switchRules() []Rule {
	return []Rule{
		{
			ID: "C05", Title: "Changes of files by administrators (DISALLOW_FILE_MODS)", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "An administrator installs or updates a plugin on one node: its code differs, and is gone at the next refresh.",
			Fix:  "define( 'DISALLOW_FILE_MODS', true ); DISALLOW_FILE_EDIT is not enough.",
			find: onConfig(fileMods),
		},
		{
			ID: "C06", Title: "Automatic updates", Severities: blocks(), Phase: InTree,
			Why:  "Some nodes change their own code at night.",
			Fix:  "define( 'AUTOMATIC_UPDATER_DISABLED', true ); or DISALLOW_FILE_MODS, which covers it.",
			find: onConfig(updates),
		},
		{
			ID: "C07", Title: "Cron", Severities: blocksOrWarns(), Phase: InTree,
			Why: "Every node starts cron on page views: jobs run twice, on old or new code by chance. Switched off without a runner they never run.",
			Fix: "define( 'DISABLE_WP_CRON', true ); one runner of the same release, and its name in check.cron of wpbake.yaml.",
			find: func(v *view) hits {
				if v.config() == nil {
					return nil
				}
				return cron(v.config(), v.Cron)
			},
		},
		{
			ID: "C08", Title: "Debugging switches", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "Warnings stand in pages, JSON and feeds; logs fill the node's disk; WP_ALLOW_REPAIR is a page that anybody can use.",
			Fix:  "Switch it off; errors belong on stderr (log_errors).",
			find: onConfig(debugging),
		},
		{
			ID: "C09", Title: "Kind of environment", Severities: warns(), Phase: InTree,
			Why:  "Plugins behave differently; development mode switches caches off.",
			Fix:  "define( 'WP_ENVIRONMENT_TYPE', getenv( 'WP_ENVIRONMENT_TYPE' ) ); and no WP_DEVELOPMENT_MODE.",
			find: onConfig(environment),
		},
		{
			ID: "C13", Title: "Content outside the tree", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "Plugins and themes are missing on a node.",
			Fix:  "Keep the directory in the tree, and name it by __DIR__.",
			find: onConfig(directories),
		},
	}
}

// fileMods is C05.
func fileMods(config *wpconfig.Config) (h hits) {
	const name = "DISALLOW_FILE_MODS"
	if config.On(name) {
		return nil
	}
	k, ok := config.Get(name)
	switch p, what := missing(config, name); {
	case ok:
		h.block(atConstant(k), "DISALLOW_FILE_MODS is false")
	case config.MayDefineElsewhere():
		h.warn(p, "%s, unless a file outside the tree does", what)
	default:
		h.block(p, "%s", what)
	}
	return h
}

// updates is C06. DISALLOW_FILE_MODS, which may also stand outside the tree,
// covers automatic updates.
func updates(config *wpconfig.Config) (h hits) {
	_, said := config.Get("DISALLOW_FILE_MODS")
	if config.On("DISALLOW_FILE_MODS") || !said && config.MayDefineElsewhere() {
		return nil
	}
	core, ok := config.Get("WP_AUTO_UPDATE_CORE")
	if config.On("AUTOMATIC_UPDATER_DISABLED") || ok && core.Value.Falsy() {
		return nil
	}
	p, what := missing(config, "AUTOMATIC_UPDATER_DISABLED")
	h.block(p, "%s: WordPress updates itself", what)
	return h
}

// cron is C07. runner is who runs cron; empty is nobody.
func cron(config *wpconfig.Config, runner string) (h hits) {
	if k, ok := config.Get("ALTERNATE_WP_CRON"); ok && k.Value.Truthy() {
		h.warn(atConstant(k), "ALTERNATE_WP_CRON redirects visitors to run cron")
	}
	k, ok := config.Get("DISABLE_WP_CRON")
	switch p, what := missing(config, "DISABLE_WP_CRON"); {
	case !ok && config.MayDefineElsewhere():
	case !ok:
		h.warn(p, "%s: every node runs cron", what)
	case k.Value.Falsy():
		h.warn(atConstant(k), "DISABLE_WP_CRON is false: every node runs cron")
	case runner == "" && k.Value.Kind != php.Unknown:
		h.block(atConstant(k), "DISABLE_WP_CRON is true, and nobody is named who runs cron")
	case runner == "":
		h.warn(atConstant(k), "DISABLE_WP_CRON comes from the environment, and nobody is named who runs cron")
	}
	return h
}

// debugging is C08.
func debugging(config *wpconfig.Config) (h hits) {
	if k, ok := config.Get("WP_DEBUG"); ok && k.Value.Truthy() {
		if display, ok := config.Get("WP_DEBUG_DISPLAY"); ok && display.Value.Kind != php.Unknown && display.Value.Falsy() {
			h.warn(atConstant(k), "WP_DEBUG is %s", spoken(k.Value))
		} else {
			h.block(atConstant(k), "WP_DEBUG is %s, and WP_DEBUG_DISPLAY is not false: errors stand in pages", spoken(k.Value))
		}
	}
	for _, name := range []string{"WP_DEBUG_LOG", "SAVEQUERIES", "SCRIPT_DEBUG", "WP_DISABLE_FATAL_ERROR_HANDLER"} {
		if k, ok := config.Get(name); ok && k.Value.Truthy() {
			h.warn(atConstant(k), "%s is %s", name, spoken(k.Value))
		}
	}
	if k, ok := config.Get("WP_ALLOW_REPAIR"); ok && k.Value.Truthy() {
		h.block(atConstant(k), "WP_ALLOW_REPAIR is %s: anybody can repair the database", spoken(k.Value))
	}
	for _, call := range config.Calls {
		p := place{call.Path, call.Line}
		switch {
		case call.Name == "ini_set" && len(call.Args) == 2 && call.Args[0].Text == "display_errors" && isSwitchedOn(call.Args[1]):
			h.block(p, "display_errors is switched on: errors stand in pages")
		case call.Name == "error_reporting" && (len(call.Args) == 0 || !call.Args[0].Falsy()):
			h.warn(p, "error_reporting() is set by hand")
		}
	}
	return h
}

// isSwitchedOn reads a value as php.ini does.
func isSwitchedOn(v php.Value) bool {
	return v.Truthy() && !oneOf(strings.ToLower(v.Text), "off", "no", "false", "none", "stderr")
}

// spoken says what a true value is. The text 'false' is true, too.
func spoken(v php.Value) string {
	if v.Kind == php.String && oneOf(strings.ToLower(v.Text), "false", "off", "no") {
		return fmt.Sprintf("the text '%s', which PHP takes for true", printable.Clean(v.Text))
	}
	return "true"
}

// environment is C09.
func environment(config *wpconfig.Config) (h hits) {
	if k, ok := config.Get("WP_ENVIRONMENT_TYPE"); ok && k.Value.Literal() && k.Value.Text != "production" {
		h.warn(atConstant(k), "WP_ENVIRONMENT_TYPE is %q", printable.Cut(printable.Clean(k.Value.Text), 40))
	}
	if k, ok := config.Get("WP_DEVELOPMENT_MODE"); ok && k.Value.Literal() {
		h.warn(atConstant(k), "WP_DEVELOPMENT_MODE is %q", printable.Cut(printable.Clean(k.Value.Text), 40))
	}
	return h
}

// directories is C13.
func directories(config *wpconfig.Config) (h hits) {
	for _, name := range []string{"WP_CONTENT_DIR", "WP_PLUGIN_DIR", "WPMU_PLUGIN_DIR", "WP_LANG_DIR"} {
		k, ok := config.Get(name)
		if !ok || k.Value.Kind != php.String {
			continue
		}
		_, inside := k.Value.InTree()
		switch {
		case inside:
		case name == "WP_LANG_DIR":
			h.warn(atConstant(k), "%s leads out of the tree", name)
		default:
			h.block(atConstant(k), "%s leads out of the tree: nodes have no plugins or themes", name)
		}
	}
	if k, ok := config.Get("WP_TEMP_DIR"); ok {
		if _, inside := k.Value.InTree(); inside {
			h.warn(atConstant(k), "WP_TEMP_DIR is in the tree, which is read-only on a node")
		}
	}
	if k, ok := config.Get("UPLOADS"); ok && strings.HasPrefix(k.Value.Text, "/") && !k.Value.Tree {
		h.warn(atConstant(k), "UPLOADS is an absolute path, and is meant relative to ABSPATH")
	}
	return h
}
