package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/scan"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func addressRules() []Rule {
	return []Rule{
		{
			ID: "C03", Title: "The site's address", Severities: warns(), Phase: InTree,
			Why:  "Unset, the database rules and one release cannot serve staging too. Taken from the request, whoever asks chooses it.",
			Fix:  "define( 'WP_HOME', getenv( 'WP_HOME' ) ); and WP_SITEURL.",
			find: onConfig(addresses),
		},
		{
			ID: "C04", Title: "HTTPS behind the load balancer", Severities: blocks(), Phase: InTree,
			Why: "WordPress sees plain HTTP: wp-login.php and wp-admin redirect to themselves for ever.",
			Fix: "Set HTTPS from X-Forwarded-Proto in the web server (fastcgi_param HTTPS), or in wp-config.php.",
			find: func(v *view) hits {
				if v.config() == nil {
					return nil
				}
				return https(v.config(), v.Node, v.Database)
			},
		},
		{
			ID: "C16", Title: "Multisite", Severities: warns(), Phase: InTree,
			Why:  "Constants that do not fit each other end in a redirect loop, and while releases are mixed any page of wp-admin starts the database upgrade.",
			Fix:  "Set MULTISITE, SUBDOMAIN_INSTALL, DOMAIN_CURRENT_SITE and PATH_CURRENT_SITE together; ship sunrise.php with SUNRISE.",
			find: onSite(multisite),
		},
		{
			ID: "C18", Title: "Requests to the outside", Severities: infos(), Phase: InTree,
			Why:  "Nodes without a way out wait for time-outs of update checks, embeds and licences.",
			Fix:  "Decide: WP_HTTP_BLOCK_EXTERNAL with WP_ACCESSIBLE_HOSTS, or a NAT gateway.",
			find: onConfig(requests),
		},
	}
}

// missing says that a constant is not defined, and why if it looks defined.
func missing(config *wpconfig.Config, name string) (place, string) {
	for _, k := range config.Constants {
		if k.Name == name && k.Dead {
			return atConstant(k), name + " is defined where it has no effect: after wp-settings.php, or a second time"
		}
	}
	return at(config.Path), name + " is not defined"
}

// addresses is C03.
func addresses(config *wpconfig.Config) (h hits) {
	for _, name := range []string{"WP_HOME", "WP_SITEURL"} {
		k, ok := config.Get(name)
		switch {
		case !ok && !config.MayDefineElsewhere():
			p, what := missing(config, name)
			h.warn(p, "%s", what)
		case ok && slices.ContainsFunc(k.Source, ofRequest):
			h.warn(atConstant(k), "%s comes from the request", name)
		case ok && k.Value.Literal():
			h.warn(atConstant(k), "%s is written in the tree", name)
		}
	}
	return h
}

func ofRequest(s string) bool {
	return strings.Contains(s, "HTTP_HOST") || strings.Contains(s, "SERVER_NAME")
}

// https is C04. It knows that the site is https only when the configuration
// says so, or the database. What nodes and the database have may be nil.
func https(config *wpconfig.Config, node *nodeconfig.Config, facts *database.Facts) (h hits) {
	p, secure := isSecure(config)
	secure = secure || facts != nil && strings.HasPrefix(facts.SiteURL, "https://")
	if secure && !config.ReadsProto && !config.MayDefineElsewhere() && (node == nil || !node.MapsProto()) {
		h.block(p, "the site is https, and nothing makes HTTPS of the load balancer's X-Forwarded-Proto")
	}
	return h
}

// isSecure reports whether a configuration says that its site is https, and
// where.
func isSecure(config *wpconfig.Config) (place, bool) {
	for _, name := range []string{"WP_HOME", "WP_SITEURL"} {
		if k, ok := config.Get(name); ok && strings.HasPrefix(k.Value.Text, "https://") {
			return atConstant(k), true
		}
	}
	if k, ok := config.Get("FORCE_SSL_ADMIN"); ok && k.Value.Truthy() {
		return atConstant(k), true
	}
	return at(config.Path), false
}

// multisite is C16.
func multisite(tree *scan.Tree, site *wordpress.Site) (h hits) {
	config := site.Config
	if config == nil {
		return nil
	}
	k, ok := config.Get("MULTISITE")
	if ok && k.Value.Truthy() && !config.MayDefineElsewhere() {
		for _, name := range []string{"SUBDOMAIN_INSTALL", "DOMAIN_CURRENT_SITE", "PATH_CURRENT_SITE"} {
			if _, ok := config.Get(name); !ok {
				h.warn(atConstant(k), "MULTISITE is true, and %s is not defined", name)
			}
		}
	}
	if k, ok := config.Get("SUNRISE"); ok && !k.Value.Falsy() && !tree.Has(path.Join(site.Content, "sunrise.php")) {
		h.warn(atConstant(k), "SUNRISE is defined, and there is no sunrise.php")
	}
	return h
}

// requests is C18.
func requests(config *wpconfig.Config) (h hits) {
	if _, ok := config.Get("WP_HTTP_BLOCK_EXTERNAL"); !ok {
		h.info(at(config.Path), "WP_HTTP_BLOCK_EXTERNAL is not defined")
	}
	return h
}
