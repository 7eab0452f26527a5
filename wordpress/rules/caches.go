package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func cacheRules() []Rule {
	return []Rule{
		{
			ID: "C11", Title: "WP_CACHE without its drop-in", Severities: warns(), Phase: InTree,
			Why:  "wp-content/advanced-cache.php is missing, which WordPress ignores without a word.",
			Fix:  "Ship the drop-in, or remove WP_CACHE.",
			find: onSite(pageCacheSwitch),
		},
		{
			ID: "C12", Title: "Prefix of cache keys", Severities: warns(), Phase: InTree,
			Why:  "Environments that share a cache read each other's objects.",
			Fix:  "One prefix for each environment, and the cache's host, from the environment.",
			find: onSite(cacheKeys),
		},
	}
}

func sessionRules() []Rule {
	return []Rule{
		{
			ID: "C14", Title: "PHP sessions", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "Sessions in files live on one node: carts and logins are lost with it.",
			Fix:  "session.save_handler = memcached or redis in the nodes' php.ini, with a server of its own.",
			find: onFleet(sessions),
		},
	}
}

// pageCacheSwitch is C11.
func pageCacheSwitch(tree *scan.Tree, site *wordpress.Site) (h hits) {
	if site.Config == nil {
		return nil
	}
	if k, ok := site.Config.Get("WP_CACHE"); ok && k.Value.Truthy() && !tree.Has(path.Join(site.Content, "advanced-cache.php")) {
		h.warn(atConstant(k), "WP_CACHE is %s, and there is no advanced-cache.php", spoken(k.Value))
	}
	return h
}

// cacheKeys is C12.
func cacheKeys(tree *scan.Tree, site *wordpress.Site) (h hits) {
	config := site.Config
	if config == nil {
		return nil
	}
	for _, name := range []string{"WP_REDIS_HOST", "WP_REDIS_SERVERS", "WP_REDIS_CLUSTER", "WP_MEMCACHED_HOST"} {
		if k, ok := config.Get(name); ok && k.Value.Literal() {
			h.warn(atConstant(k), "%s is written in the tree", name)
		}
	}
	if v, ok := config.Variable("memcached_servers"); ok && !slices.ContainsFunc(v.Source, fromEnvironment) && slices.ContainsFunc(v.Source, isHostPort) {
		h.warn(atConstant(v), "$memcached_servers is written in the tree")
	}
	_, salt := config.Get("WP_CACHE_KEY_SALT")
	_, prefix := config.Get("WP_REDIS_PREFIX")
	if dropIn := path.Join(site.Content, "object-cache.php"); tree.Has(dropIn) && !salt && !prefix && !config.MayDefineElsewhere() {
		h.warn(at(config.Path), "there is an object cache, and neither WP_CACHE_KEY_SALT nor WP_REDIS_PREFIX is defined")
	}
	return h
}

func fromEnvironment(s string) bool {
	return oneOf(strings.ToLower(s), "getenv", "env", "_env", "_server")
}

func isHostPort(s string) bool { return strings.Contains(s, ":") }

// sessions is C14. What nodes have may be nil.
func sessions(tree *scan.Tree, site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	if node != nil && node.SharesSessions() {
		return nil
	}
	for _, x := range slices.Concat(site.Plugins, site.Themes) {
		if x.Dir == "" {
			continue
		}
		p, n := firstBelow(tree, x.Dir, scan.SessionStart)
		switch {
		case n == 0:
		case node != nil && len(node.INI) > 0:
			h.block(p, "%s uses PHP sessions, and the nodes keep them in files", x.Slug)
		default:
			h.warn(p, "%s uses PHP sessions, which nodes must share", x.Slug)
		}
	}
	return h
}
