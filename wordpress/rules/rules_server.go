package rules

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// serverJudges are the rules D01 to D07; D08 is about nodes.
func serverJudges() []func(*checker) {
	return []func(*checker){judgeDropIns, judgePageCache, judgeObjectCache, judgeDatabaseDropIn, judgeMustUse, judgeHtaccess, judgeUserINI}
}

// judgeDropIns is D01, for those that no other rule is about.
func judgeDropIns(c *checker) {
	if c.site == nil {
		return
	}
	for _, p := range c.site.DropIns {
		if c.has(p) && !oneOf(path.Base(p), "advanced-cache.php", "object-cache.php", "db.php") {
			c.info("D01", at(p), "is a drop-in")
		}
	}
}

// dropIn returns the path of a drop-in that a release would hold.
func (c *checker) dropIn(name string) (string, bool) {
	if c.site == nil {
		return "", false
	}
	p := path.Join(c.site.Content, name)
	return p, c.has(p)
}

// pageCaches are the plugins that write advanced-cache.php, by a word in it.
func pageCaches() map[string][]string {
	return map[string][]string{
		"WP SUPER CACHE": {"wp-super-cache"}, "W3TC": {"w3-total-cache"}, "WP_ROCKET": {"wp-rocket"},
		"CACHE_ENABLER": {"cache-enabler"}, "LSCWP": {"litespeed-cache"}, "WPO_CACHE": {"wp-optimize", "wp-optimize-premium"},
	}
}

// judgePageCache is D02. Its paths are also judged by T20.
func judgePageCache(c *checker) {
	p, ok := c.dropIn("advanced-cache.php")
	if !ok {
		return
	}
	if config := c.site.Config; config != nil && !config.MayDefineElsewhere() {
		if k, ok := config.Get("WP_CACHE"); !ok || k.Value.Kind != php.Unknown && k.Value.Falsy() {
			c.warn("D02", at(p), "is there, and WP_CACHE is not true: it does nothing")
		}
	}
	src, err := c.read(p, lookText)
	if err != nil {
		return
	}
	for word, slugs := range pageCaches() {
		if strings.Contains(string(src), word) && !slices.ContainsFunc(c.site.Plugins, func(x wordpress.Extension) bool { return oneOf(x.Slug, slugs...) }) {
			c.warn("D02", at(p), "belongs to %s, which is not in the tree", slugs[0])
			return
		}
	}
	if line, text := foreignPath(src); line > 0 && !c.machinePath(text) {
		c.block("D02", place{p, line}, "holds the path %q, which is not there on a node", printable.Cut(printable.Clean(text), 100))
	}
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

// judgeObjectCache is D03.
func judgeObjectCache(c *checker) {
	p, ok := c.dropIn("object-cache.php")
	if !ok {
		return
	}
	src, err := c.read(p, lookText)
	if err != nil {
		return
	}
	need, known := "", c.Node != nil && len(c.Node.INI) > 0
	switch text := string(src); {
	case strings.Contains(text, "Memcached"):
		need = "memcached"
	case strings.Contains(text, "Redis"), strings.Contains(text, "Predis"):
		need = "redis"
	}
	switch {
	case !known && need != "":
		c.warn("D03", at(p), "needs the PHP extension %s and a server of its own", need)
	case !known:
		c.warn("D03", at(p), "needs a server of its own")
	case sameEndpoint(c.Node, c.site.Config):
		c.block("D03", at(p), "its server holds the PHP sessions too: flushing it ends them")
	}
	if known && need != "" && !c.Node.Loads(need) {
		c.warn("D03", at(p), "needs the PHP extension %s, which nodes do not load", need)
	}
}

// judgeDatabaseDropIn is D04.
func judgeDatabaseDropIn(c *checker) {
	if p, ok := c.dropIn("db.php"); ok {
		c.warn("D04", at(p), "changes every access to the database")
	}
}

// judgeMustUse is D05.
func judgeMustUse(c *checker) {
	if c.site == nil || len(c.site.MustUse) == 0 {
		return
	}
	c.info("D05", at(c.site.MustUse[0]), "is a must-use plugin%s", andMore(len(c.site.MustUse)-1))
}

// judgeHtaccess is D06: rules outside of the block that WordPress writes. What
// only denies access to a plugin's own directory is not worth a word for each.
func judgeHtaccess(c *checker) {
	var deep []string
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || f.base() != ".htaccess" || c.inVendor(f.path) {
			continue
		}
		src, err := c.read(f.path, lookText)
		if err != nil {
			continue
		}
		n, first := ownRules(string(src))
		switch {
		case n == 0:
		case c.inExtension(f.path):
			deep = append(deep, f.path)
		default:
			c.warn("D06", place{f.path, first}, "%d rule(s) that nginx does not read", n)
		}
	}
	if len(deep) > 0 {
		c.warn("D06", at(deep[0]), "holds rules that nginx does not read%s", andMore(len(deep)-1))
	}
}

// ownRules counts the rules that are not WordPress's.
func ownRules(src string) (n, first int) {
	inside := false
	for i, line := range strings.Split(src, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "# BEGIN WordPress"):
			inside = true
		case strings.HasPrefix(line, "# END WordPress"):
			inside = false
		case inside || line == "" || line[0] == '#' || strings.Contains(line, "auto_prepend_file"):
		default:
			if n++; n == 1 {
				first = i + 1
			}
		}
	}
	return n, first
}

// judgeUserINI is D07. Which file PHP runs first is judged by W06.
func judgeUserINI(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || !oneOf(f.base(), ".user.ini", "php.ini") || c.inVendor(f.path) {
			continue
		}
		src, err := c.read(f.path, lookText)
		if err != nil {
			continue
		}
		var names []string
		for line := range strings.Lines(string(src)) {
			name, _, ok := strings.Cut(line, "=")
			name = strings.TrimSpace(name)
			if ok && name != "" && name[0] != ';' && name[0] != '#' && name != "auto_prepend_file" {
				names = append(names, printable.Clean(printable.Cut(name, 60)))
			}
		}
		if len(names) > 0 {
			c.warn("D07", at(f.path), "sets %s", strings.Join(names[:min(len(names), 5)], ", ")+more(len(names)-5))
		}
	}
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

var hostPorts = regexp.MustCompile(`[\w.-]+:\d{2,5}`)

// sameEndpoint reports whether sessions are kept on a server that the
// configuration names for the object cache.
func sameEndpoint(n *nodeconfig.Config, config *wpconfig.Config) bool {
	d, ok := n.PHPSetting("session.save_path")
	if !ok || config == nil || !n.SharesSessions() {
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
