package rules

import (
	"path"
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
)

// writeJudges are the rules W04, W06, W09, W10 and W99; the others are
// directories that judgeLeftOut leaves out.
func writeJudges() []func(*checker) {
	return []func(*checker){judgeSettingsFiles, judgeFirewall, judgeTranslators, judgeWriters, judgeRuntime}
}

// judgeSettingsFiles is W04.
func judgeSettingsFiles(c *checker) {
	if c.site == nil {
		return
	}
	for _, name := range []string{
		"w3tc-config", "db-cluster-config.php", "wp-cache-config.php", "wp-rocket-config", "settings/cache-enabler", ".litespeed_conf.dat",
	} {
		if p := path.Join(c.site.Content, name); c.has(p) {
			c.warn("W04", at(p), "is written by a plugin, and is code in a release")
		}
	}
}

var autoPrepend = regexp.MustCompile(`(?im)^\s*(?:php_value\s+)?auto_prepend_file\s*[=\s]\s*['"]?([^'"\s]+)`)

// judgeFirewall is W06 for files that PHP is told to run first.
func judgeFirewall(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || !oneOf(f.base(), ".user.ini", "php.ini", ".htaccess") {
			continue
		}
		src, err := c.read(f.path, lookText)
		if err != nil {
			continue
		}
		m := autoPrepend.FindSubmatchIndex(src)
		if m == nil {
			continue
		}
		target := string(src[m[2]:m[3]])
		if target == "none" || !strings.HasPrefix(target, "/") && c.has(path.Join(path.Dir(f.path), target)) {
			continue
		}
		line := 1 + strings.Count(string(src[:m[2]]), "\n")
		c.block("W06", place{f.path, line}, "makes PHP run %q first, which is not there on a node", printable.Cut(printable.Clean(target), 100))
	}
}

// judgeTranslators is W09.
func judgeTranslators(c *checker) {
	if c.site == nil {
		return
	}
	for _, x := range c.site.Plugins {
		if oneOf(x.Slug, "loco-translate", "loco-translate-pro") {
			c.warn("W09", at(x.File), "%s writes translations into the tree", x.Slug)
		}
	}
}

// judgeWriters is W10: one place for each plugin or theme.
func judgeWriters(c *checker) {
	if c.site == nil {
		return
	}
	for _, x := range append(append([]wordpress.Extension{}, c.site.Plugins...), c.site.Themes...) {
		if x.Dir == "" {
			continue
		}
		if p, n := c.firstMark(x.Dir, markWrites); n > 0 {
			c.info("W10", p, "%s writes beside its own code, by %d file(s)", x.Slug, n)
		}
	}
}

// firstMark returns the first place of a mark below a directory, and how many
// files have it.
func (c *checker) firstMark(dir string, kind markKind) (place, int) {
	var first place
	n := 0
	for _, f := range c.below(dir) {
		for _, m := range f.marks {
			if m.kind == kind {
				if n++; n == 1 {
					first = place{f.path, m.line}
				}
				break
			}
		}
	}
	return first, n
}
