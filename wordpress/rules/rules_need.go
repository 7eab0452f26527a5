package rules

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

// needJudges are the rules R01 to R06.
func needJudges() []func(*checker) {
	return []func(*checker){judgePHPVersion, judgeHeaders, judgeExtensions, judgeServer, judgePlatform, judgeNewPHP}
}

// judgePHPVersion is R01.
func judgePHPVersion(c *checker) {
	if c.site == nil || c.Node == nil || c.Node.PHP == "" {
		return
	}
	if need := c.site.WordPress.PHP; php.CompareNumbers(c.Node.PHP, need) < 0 {
		c.block("R01", at(path.Join(c.site.Core, wordpress.VersionFile)), "WordPress %s needs PHP %s, nodes have %s", c.site.WordPress.Core, need, c.Node.PHP)
	}
}

// judgeHeaders is R02. Without the database nobody knows what is active, so
// what is missed is a warning; with it, active code blocks.
func judgeHeaders(c *checker) {
	if c.site == nil {
		return
	}
	for _, x := range c.site.Plugins {
		c.judgeHeader(x, c.Database.Runs(x.Basename()))
		for _, slug := range x.Requires {
			if !c.hasPlugin(slug) {
				c.need(x, c.Database.Runs(x.Basename()), "requires the plugin "+printable.Clean(slug)+", which is not in the tree")
			}
		}
	}
	for _, x := range c.site.Themes {
		active := c.Database != nil && oneOf(x.Slug, c.Database.Stylesheet, c.Database.Template)
		c.judgeHeader(x, active)
		if x.Parent != "" && x.Parent != x.Slug && !c.hasTheme(x.Parent) {
			c.need(x, active, "is a child of the theme "+x.Parent+", which is not in the tree")
		}
	}
}

func (c *checker) judgeHeader(x wordpress.Extension, active bool) {
	if x.PHP != "" && c.Node != nil && c.Node.PHP != "" && php.CompareNumbers(c.Node.PHP, x.PHP) < 0 {
		c.need(x, active, "requires PHP "+x.PHP+", nodes have "+c.Node.PHP)
	}
	if x.Core != "" && php.CompareNumbers(c.site.WordPress.Core, x.Core) < 0 {
		c.need(x, active, "requires WordPress "+x.Core+", the tree has "+c.site.WordPress.Core)
	}
}

func (c *checker) need(x wordpress.Extension, active bool, what string) {
	if active {
		c.block("R02", at(x.File), "%s %s, and is active", printable.Clean(x.Slug), what)
	} else {
		c.warn("R02", at(x.File), "%s %s", printable.Clean(x.Slug), what)
	}
}

func (c *checker) hasPlugin(slug string) bool {
	for _, x := range c.site.Plugins {
		if x.Slug == slug {
			return true
		}
	}
	return false
}

func (c *checker) hasTheme(slug string) bool {
	for _, x := range c.site.Themes {
		if x.Slug == slug {
			return true
		}
	}
	return false
}

// judgeExtensions is R03.
func judgeExtensions(c *checker) {
	if c.site == nil || c.Node == nil || len(c.Node.Extensions) == 0 {
		return
	}
	p := at(path.Join(c.site.Core, wordpress.VersionFile))
	for _, name := range append([]string{"mysqli"}, c.site.Extensions...) {
		if !c.Node.Loads(name) {
			c.block("R03", p, "WordPress needs the PHP extension %s, which nodes do not load", printable.Clean(name))
		}
	}
	var absent []string
	for _, name := range []string{"curl", "dom", "exif", "fileinfo", "intl", "mbstring", "openssl", "xml", "zip"} {
		if !c.Node.Loads(name) {
			absent = append(absent, name)
		}
	}
	if !c.Node.Loads("gd") && !c.Node.Loads("imagick") {
		absent = append(absent, "gd or imagick")
	}
	if len(absent) > 0 {
		c.warn("R03", p, "WordPress recommends PHP extensions that nodes do not load: %s", strings.Join(absent, ", "))
	}
}

// judgeServer is R04.
func judgeServer(c *checker) {
	if c.site == nil || c.Database == nil || c.Database.Version == "" {
		return
	}
	need := c.site.WordPress.MySQL
	have := strings.TrimPrefix(c.Database.Version, "5.5.5-") // as MariaDB says it to old clients
	if php.CompareNumbers(have, need) < 0 {
		c.block("R04", at(path.Join(c.site.Core, wordpress.VersionFile)), "WordPress %s needs MySQL %s, the database is %s", c.site.WordPress.Core, need, printable.Clean(have))
	}
}

var platformID = regexp.MustCompile(`PHP_VERSION_ID\s*>=\s*(\d{5,6})`)

// judgePlatform is R05.
func judgePlatform(c *checker) {
	if c.Node == nil || c.Node.PHP == "" {
		return
	}
	major, rest := php.LeadingNumber(c.Node.PHP)
	minor, rest := php.LeadingNumber(rest)
	patch, _ := php.LeadingNumber(rest)
	if rest == "" {
		patch = 99 // "8.2" is any of its patch releases
	}
	id := major*10000 + minor*100 + patch
	for i := range c.files {
		f := &c.files[i]
		if !strings.HasSuffix(f.path, "vendor/composer/platform_check.php") {
			continue
		}
		src, err := c.read(f.path, lookText)
		if err != nil {
			continue
		}
		if m := platformID.FindSubmatchIndex(src); m != nil {
			if need, _ := strconv.Atoi(string(src[m[2]:m[3]])); id < need {
				line := 1 + strings.Count(string(src[:m[2]]), "\n")
				c.block("R05", place{f.path, line}, "packages need PHP %d.%d, nodes have %s", need/10000, need/100%100, c.Node.PHP)
			}
		}
	}
}

// judgeNewPHP is R06: the newest PHP that a WordPress was made for, by its
// release notes.
func judgeNewPHP(c *checker) {
	if c.site == nil || c.Node == nil || c.Node.PHP == "" {
		return
	}
	for _, row := range []struct{ core, php string }{
		{"6.9", "8.5"}, {"6.7", "8.4"}, {"6.4", "8.3"}, {"6.1", "8.2"}, {"5.9", "8.1"}, {"5.6", "8.0"}, {"0", "7.4"},
	} {
		if php.CompareNumbers(c.site.WordPress.Core, row.core) < 0 {
			continue
		}
		if newest := majorMinor(c.Node.PHP); php.CompareNumbers(newest, row.php) > 0 {
			c.warn("R06", at(path.Join(c.site.Core, wordpress.VersionFile)), "WordPress %s was made for PHP up to %s, nodes have %s", c.site.WordPress.Core, row.php, c.Node.PHP)
		}
		return
	}
}

func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}
