package rules

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// changeJudges are the rules X01 to X10, with C15 and C19; X11 is about nodes.
func changeJudges() []func(*checker) {
	return []func(*checker){judgeChange, judgeActive}
}

// judgeActive is X05, and X04 where only the database is known.
func judgeActive(c *checker) {
	if c.site == nil || c.Database == nil {
		return
	}
	for _, slug := range slices.Compact([]string{c.Database.Template, c.Database.Stylesheet}) {
		if slug != "" && !c.hasTheme(slug) {
			c.block("X05", at(path.Join(c.site.Content, "themes", slug)), "is the active theme, and is not in the tree")
		}
	}
	for _, name := range c.Database.ActivePlugins {
		if !slices.ContainsFunc(c.site.Plugins, func(x wordpress.Extension) bool { return x.Basename() == name }) {
			c.block("X04", at(path.Join(c.site.Content, "plugins", path.Clean("/"+name))), "is active, and is not in the tree")
		}
	}
}

// judgeChange compares with the tree in service.
func judgeChange(c *checker) {
	if c.site == nil || c.Before == nil {
		return
	}
	before, err := wordpress.ReadSite(c.Before)
	if err != nil {
		c.warn("X01", at("."), "the tree in service cannot be compared: %s", printable.Clean(err.Error()))
		return
	}
	c.changedCore(before)
	c.changedPlugins(before)
	c.changedAssets()
	c.changedConfig(before)
	c.changedDropIns(before)
}

// changedCore is X01, X02 and X03 for WordPress itself.
func (c *checker) changedCore(before *wordpress.Site) {
	was, is := before.WordPress, c.site.WordPress
	p := at(path.Join(c.site.Core, wordpress.VersionFile))
	if was.Core != is.Core {
		c.info("X01", p, "WordPress %s becomes %s", was.Core, is.Core)
	}
	if was.DBVersion != is.DBVersion {
		c.warn("X02", p, "$wp_db_version %d becomes %d", was.DBVersion, is.DBVersion)
	}
	const hashes = "6.8"
	switch old, now := php.CompareNumbers(was.Core, hashes) < 0, php.CompareNumbers(is.Core, hashes) < 0; {
	case old && !now:
		c.block("X03", p, "passwords are stored anew from WordPress %s on: whoever logs in cannot log in after a rollback", hashes)
	case !old && now:
		c.block("X03", p, "WordPress before %s rejects the passwords of all who have logged in since", hashes)
	}
}

// changedPlugins is X03, X04, X06 and X07.
func (c *checker) changedPlugins(before *wordpress.Site) {
	for _, x := range before.Plugins {
		i := slices.IndexFunc(c.site.Plugins, func(y wordpress.Extension) bool { return y.Basename() == x.Basename() })
		if i < 0 {
			if c.Database == nil {
				c.warn("X04", at(x.File), "is gone: it must not be active")
			}
			continue
		}
		now := c.site.Plugins[i]
		step := php.CompareNumbers(now.Version, x.Version)
		if step < 0 {
			c.warn("X07", at(now.File), "%s %s becomes %s", printable.Clean(x.Slug), x.Version, now.Version)
		}
		if x.Slug == "woocommerce" && step > 0 && majorMinor(now.Version) != majorMinor(x.Version) {
			c.block("X03", at(now.File), "WooCommerce %s becomes %s: it migrates its tables on the first request, and does not go back", x.Version, now.Version)
		}
	}
	for _, x := range c.site.Plugins {
		if !slices.ContainsFunc(before.Plugins, func(y wordpress.Extension) bool { return y.Slug == x.Slug }) {
			c.info("X06", at(x.File), "%s is new: activate it once the rollout is complete", printable.Clean(x.Slug))
		}
	}
}

// changedAssets is X08, for what themes and plugins had.
func (c *checker) changedAssets() {
	var gone []string
	state := newStateMatcher()
	fs.WalkDir(c.Before, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return nil
		}
		if state.rule(p) != nil || c.Exclude != nil && c.Exclude(p) {
			return skip(d)
		}
		ok, sub := contentOf(p)
		kind, _, _ := strings.Cut(sub, "/")
		if d.Type().IsRegular() && wordpress.IsAsset(p) && !c.has(p) && ok && oneOf(kind, "themes", "plugins", "mu-plugins") && c.stays(p) {
			gone = append(gone, p)
		}
		return nil
	})
	if len(gone) > 0 {
		c.warn("X08", at(gone[0]), "is gone, and pages of the tree in service name it%s", andMore(len(gone)-1))
	}
}

// stays reports whether the plugin or theme of a path is still in the tree:
// of one that is gone no page is left.
func (c *checker) stays(p string) bool {
	for _, x := range slices.Concat(c.site.Plugins, c.site.Themes) {
		if x.Dir != "" && strings.HasPrefix(p, x.Dir+"/") {
			return true
		}
	}
	return false
}

// changedConfig is C15, C19 and X09.
func (c *checker) changedConfig(before *wordpress.Site) {
	was, is := before.Config, c.site.Config
	if was == nil || is == nil {
		return
	}
	old, _ := was.Variable("table_prefix")
	now, ok := is.Variable("table_prefix")
	if ok && old.Value.Kind == php.String && now.Value.Kind == php.String && old.Value.Text != now.Value.Text {
		c.block("C19", atConstant(now), "$table_prefix %q becomes %q", old.Value.Text, now.Value.Text)
	}
	for _, name := range []string{"COOKIE_DOMAIN", "COOKIEHASH", "SITECOOKIEPATH", "COOKIEPATH", "ADMIN_COOKIE_PATH", "USER_COOKIE", "AUTH_COOKIE", "LOGGED_IN_COOKIE"} {
		c.changedConstant("C15", name)(was, is)
	}
	for _, name := range append(saltNames(), "WP_CACHE_KEY_SALT", "WP_REDIS_PREFIX", "WP_CONTENT_DIR", "WP_CONTENT_URL", "UPLOADS") {
		c.changedConstant("X09", name)(was, is)
	}
}

// changedConstant warns of a constant whose known value, or absence, changed.
// Values may be secrets and are not repeated.
func (c *checker) changedConstant(id, name string) func(was, is *wpconfig.Config) {
	return func(was, is *wpconfig.Config) {
		old, had := was.Get(name)
		now, has := is.Get(name)
		switch {
		case had && has && (old.Value.Kind == php.Unknown || now.Value.Kind == php.Unknown || old.Value == now.Value):
		case had && has:
			c.warn(id, atConstant(now), "%s has another value", name)
		case has && now.Value.Kind != php.Unknown:
			c.warn(id, atConstant(now), "%s is new", name)
		case had && old.Value.Kind != php.Unknown:
			c.warn(id, at(is.Path), "%s is gone", name)
		}
	}
}

// changedDropIns is X10.
func (c *checker) changedDropIns(before *wordpress.Site) {
	for _, p := range c.site.DropIns {
		old := path.Join(before.Content, path.Base(p))
		switch {
		case !slices.Contains(before.DropIns, old):
			c.info("X10", at(p), "is new")
		case sumOf(c.Before, old) != sumOf(c.tree, p):
			c.info("X10", at(p), "changed")
		}
	}
	for _, p := range before.DropIns {
		if now := path.Join(c.site.Content, path.Base(p)); !slices.Contains(c.site.DropIns, now) {
			c.info("X10", at(now), "is gone")
		}
	}
}

func sumOf(fsys fs.FS, p string) string {
	src, err := safefs.ReadFile(fsys, p, maxReplaced)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(src))
}
