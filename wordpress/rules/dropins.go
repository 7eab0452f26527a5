package rules

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func dropInRules() []Rule {
	return []Rule{
		{
			ID: "D01", Title: "Drop-ins", Severities: infos(), Phase: InTree,
			Why:  "They are code without a version, loaded on every request.",
			Fix:  "Nothing: know that they are there.",
			find: onSite(dropIns),
		},
		{
			ID: "D02", Title: "advanced-cache.php", Severities: blocksOrWarns(), Phase: InTree,
			Why: "It is a generated file, and does nothing or harm when its plugin, WP_CACHE or its paths are not there.",
			Fix: "Generate it again for this tree, or remove it.",
			find: func(v *view) hits {
				if v.site == nil {
					return nil
				}
				return pageCache(v.tree, v.site, v.Dir)
			},
		},
		{
			ID: "D03", Title: "object-cache.php", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "It needs its PHP extension and a server; most flush the whole server, and with it PHP sessions that are kept there.",
			Fix:  "Keep sessions on another server than the object cache.",
			find: onFleet(objectCache),
		},
		{
			ID: "D04", Title: "db.php", Severities: warns(), Phase: InTree,
			Why:  "It changes every access to the database.",
			Fix:  "Make sure that it is meant for production.",
			find: onSite(databaseDropIn),
		},
		{
			ID: "D05", Title: "Must-use plugins", Severities: infos(), Phase: InTree,
			Why:  "They load always and cannot be switched off.",
			Fix:  "Nothing: know that they are there.",
			find: onSite(mustUse),
		},
	}
}

// dropIns is D01, for those that no other rule is about.
func dropIns(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for _, p := range site.DropIns {
		if tree.Has(p) && !oneOf(path.Base(p), "advanced-cache.php", "object-cache.php", "db.php") {
			h.info(at(p), "is a drop-in")
		}
	}
	return h
}

// dropIn returns the path of a drop-in that a release would hold.
func dropIn(tree *scan.Tree, site *wordpress.Site, name string) (string, bool) {
	p := path.Join(site.Content, name)
	return p, tree.Has(p)
}

// pageCaches are the plugins that write advanced-cache.php, by a word in it.
func pageCaches() map[string][]string {
	return map[string][]string{
		"WP SUPER CACHE": {"wp-super-cache"}, "W3TC": {"w3-total-cache"}, "WP_ROCKET": {"wp-rocket"},
		"CACHE_ENABLER": {"cache-enabler"}, "LSCWP": {"litespeed-cache"}, "WPO_CACHE": {"wp-optimize", "wp-optimize-premium"},
	}
}

// pageCache is D02. Its paths are also judged by T20. dir is where the tree
// lies, if that is known.
func pageCache(tree *scan.Tree, site *wordpress.Site, dir string) (h hits) {
	p, ok := dropIn(tree, site, "advanced-cache.php")
	if !ok {
		return nil
	}
	if config := site.Config; config != nil && !config.MayDefineElsewhere() {
		if k, ok := config.Get("WP_CACHE"); !ok || k.Value.Kind != php.Unknown && k.Value.Falsy() {
			h.warn(at(p), "is there, and WP_CACHE is not true: it does nothing")
		}
	}
	src, err := tree.ReadFile(p, scan.MaxText)
	if err != nil {
		return h
	}
	for word, slugs := range pageCaches() {
		if strings.Contains(string(src), word) && !slices.ContainsFunc(site.Plugins, func(x wordpress.Extension) bool { return oneOf(x.Slug, slugs...) }) {
			h.warn(at(p), "belongs to %s, which is not in the tree", slugs[0])
			return h
		}
	}
	if line, text := foreignPath(src); line > 0 && !ofMachine(text, dir) {
		h.block(place{p, line}, "holds the path %q, which is not there on a node", printable.Cut(printable.Clean(text), 100))
	}
	return h
}

// foreignPath finds the first absolute path among the strings of PHP source.
func foreignPath(src []byte) (int, string) {
	l := php.NewLexer(src)
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		if t.Kind == php.TokenString && absolutePath.MatchString(t.Text) {
			return t.Line, t.Text
		}
	}
	return 0, ""
}

var absolutePath = regexp.MustCompile(`^/(srv|opt|usr|mnt|data|nas|homepages|kunden|web|www)/[\w./-]+/wp-content`)

// objectCache is D03. What nodes have may be nil.
func objectCache(tree *scan.Tree, site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	p, ok := dropIn(tree, site, "object-cache.php")
	if !ok {
		return nil
	}
	src, err := tree.ReadFile(p, scan.MaxText)
	if err != nil {
		return nil
	}
	need, known := cacheExtension(string(src)), node != nil && len(node.INI) > 0
	switch {
	case !known && need != "":
		h.warn(at(p), "needs the PHP extension %s and a server of its own", need)
	case !known:
		h.warn(at(p), "needs a server of its own")
	case sharesEndpoint(node, site.Config):
		h.block(at(p), "its server holds the PHP sessions too: flushing it ends them")
	}
	if known && need != "" && !node.Loads(need) {
		h.warn(at(p), "needs the PHP extension %s, which nodes do not load", need)
	}
	return h
}

// cacheExtension is the PHP extension that an object cache needs, as far as
// its source tells.
func cacheExtension(src string) string {
	switch {
	case strings.Contains(src, "Memcached"):
		return "memcached"
	case strings.Contains(src, "Redis"), strings.Contains(src, "Predis"):
		return "redis"
	}
	return ""
}

var hostPorts = regexp.MustCompile(`[\w.-]+:\d{2,5}`)

// sharesEndpoint reports whether sessions are kept on a server that the
// configuration names for the object cache.
func sharesEndpoint(node *nodeconfig.Config, config *wpconfig.Config) bool {
	d, ok := node.PHPSetting("session.save_path")
	if !ok || config == nil || !node.SharesSessions() {
		return false
	}
	sessions := hostPorts.FindAllString(d.Value, -1)
	var caches []string
	if v, ok := config.Variable("memcached_servers"); ok {
		caches = v.Source
	}
	if host, ok := config.Get("WP_REDIS_HOST"); ok {
		port := "6379"
		if k, ok := config.Get("WP_REDIS_PORT"); ok && k.Value.Text != "" {
			port = k.Value.Text
		}
		caches = append(caches, host.Value.Text+":"+port)
	}
	return slices.ContainsFunc(caches, func(s string) bool { return slices.Contains(sessions, s) })
}

// databaseDropIn is D04.
func databaseDropIn(tree *scan.Tree, site *wordpress.Site) (h hits) {
	if p, ok := dropIn(tree, site, "db.php"); ok {
		h.warn(at(p), "changes every access to the database")
	}
	return h
}

// mustUse is D05.
func mustUse(_ *scan.Tree, site *wordpress.Site) (h hits) {
	if n := len(site.MustUse); n > 0 {
		h.info(at(site.MustUse[0]), "is a must-use plugin%s", andMore(n-1))
	}
	return h
}
