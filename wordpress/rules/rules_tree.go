package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

// treeJudges are the rules T01 to T21.
func treeJudges() []func(*checker) {
	return []func(*checker){
		judgeSite, judgeLinks, judgeKinds, judgeModes, judgeNames, judgeLeftOut, judgeResidue,
		judgeDumps, judgeSecrets, judgeTools, judgeMedia, judgeCore, judgePlugins, judgeBuilds,
		judgeOutput, judgeMaintenance, judgeTimes, judgeSize, judgePaths, judgeLoaders,
	}
}

// judgeSite is T01. All rules that need WordPress wait for the site it finds.
func judgeSite(c *checker) {
	site, err := wordpress.ReadSiteLogged(c.tree, &c.headers)
	var not *wordpress.NotWordPress
	switch {
	case errors.As(err, &not):
		c.block("T01", at("."), "%s", not.Error())
		return
	case err != nil:
		c.block("T01", at("."), "it cannot be read as WordPress: %s", printable.Clean(err.Error()))
		return
	}
	c.site = site
	if len(site.Themes) == 0 {
		c.block("T01", at(path.Join(site.Content, "themes")), "there is no theme")
	}
	if site.Config == nil {
		c.judgeConfigMissing()
	}
}

// judgeConfigMissing tells a tree without configuration from one whose
// configuration stayed behind, one directory above.
func (c *checker) judgeConfigMissing() {
	p := at(path.Join(c.site.Core, "wp-config.php"))
	if c.Above != nil && c.site.Core == "." && safefs.IsFile(c.Above, "wp-config.php") && !safefs.IsFile(c.Above, "wp-settings.php") {
		c.block("T01", p, "wp-config.php is in the directory above the tree: nodes will not have it")
		return
	}
	c.block("T01", p, "there is no wp-config.php: nodes show the installer")
}

// judgeKinds is T03.
func judgeKinds(c *checker) {
	inodes := map[[2]uint64]string{}
	for i := range c.files {
		f := &c.files[i]
		switch t := f.info.Mode().Type(); {
		case t&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice|fs.ModeCharDevice|fs.ModeIrregular) != 0:
			c.block("T03", at(f.path), "is a %s", kindName(t))
		case f.regular():
			id, linked := fileID(f.info)
			if !linked {
				continue
			}
			if first, again := inodes[id]; again {
				c.info("T03", at(f.path), "is the same file as %s, and becomes a file of its own", first)
			}
			inodes[id] = f.path
		}
	}
}

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	default:
		return "device"
	}
}

// judgeModes is T04. A report per mode is enough: there may be thousands.
func judgeModes(c *checker) {
	var writable, private []string
	for i := range c.files {
		f := &c.files[i]
		m := f.info.Mode()
		if !f.regular() && !m.IsDir() {
			continue
		}
		need := fs.FileMode(0o004)
		if m.IsDir() {
			need = 0o005
		}
		switch {
		case m&(fs.ModeSetuid|fs.ModeSetgid) != 0 && f.regular():
			c.block("T04", at(f.path), "runs as its owner (set-user-ID or set-group-ID)")
		case m&0o002 != 0:
			writable = append(writable, f.path)
		case m&need != need:
			private = append(private, f.path)
		}
	}
	if n := len(writable); n > 0 {
		c.fix("T04", at(writable[0]), "can be written by everybody%s; the artifact holds 0644 and 0755", andMore(n-1))
	}
	if n := len(private); n > 0 {
		c.fix("T04", at(private[0]), "can be read by its owner only%s; the artifact holds 0644 and 0755", andMore(n-1))
	}
}

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// judgeMaintenance is T17.
func judgeMaintenance(c *checker) {
	if c.site == nil {
		return
	}
	if p := path.Join(c.site.Core, ".maintenance"); c.has(p) {
		c.block("T17", at(p), "makes every request answer 503")
	}
}

// judgeTimes is T18.
func judgeTimes(c *checker) {
	if c.site == nil {
		return
	}
	n, first := 0, place{}
	for _, dir := range []string{"plugins", "themes"} {
		for _, f := range c.below(path.Join(c.site.Content, dir)) {
			for _, m := range f.marks {
				if m.kind != markFileTime {
					continue
				}
				if n++; n == 1 {
					first = place{f.path, m.line}
				}
			}
		}
	}
	if n > 0 {
		c.info("T18", first, "%d file(s) of plugins and themes ask for file times", n)
	}
}

const largeTree = 500 << 20

// judgeSize is T19.
func judgeSize(c *checker) {
	if c.report.Bytes <= largeTree {
		return
	}
	largest := &c.files[0]
	for i := range c.files {
		if f := &c.files[i]; f.regular() && f.info.Size() > largest.info.Size() {
			largest = f
		}
	}
	c.warn("T19", at(largest.path), "the tree has %d MiB in %d files; this is the largest, with %d MiB",
		c.report.Bytes>>20, c.report.Files, largest.info.Size()>>20)
}

// judgeLoaders is T21.
func judgeLoaders(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		for _, m := range f.marks {
			if m.kind == markLoader {
				c.warn("T21", place{f.path, m.line}, "is encoded for a loader extension")
			}
		}
	}
}

// judgeTools is T09.
func judgeTools(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		name := strings.ToLower(f.base())
		switch {
		case f.info.IsDir() && oneOf(name, "dup-installer", "phpmyadmin", "pma", "search-replace-db"):
			c.block("T09", at(f.path), "is an installer or a tool for databases")
		case f.php() && (oneOf(name, "installer.php", "installer-backup.php", "searchreplacedb2.php") || strings.HasPrefix(name, "adminer")) && !c.inVendor(f.path):
			c.block("T09", at(f.path), "is an installer or a tool for databases")
		case f.php() && oneOf(name, "phpinfo.php", "info.php", "test.php") && c.inRoot(f.path):
			c.warn("T09", at(f.path), "is a script for debugging, by its name")
		case f.php() && c.inRoot(f.path) && c.foreignRoot(f):
			c.warn("T09", at(f.path), "is no file of WordPress, and is open to everybody")
		default:
			c.judgePHPInfo(f)
		}
	}
}

func (c *checker) judgePHPInfo(f *file) {
	if c.site == nil || c.ofCore(f.path) || c.inVendor(f.path) {
		return
	}
	for _, m := range f.marks {
		if m.kind == markPHPInfo {
			c.warn("T09", place{f.path, m.line}, "calls phpinfo()")
		}
	}
}

func oneOf(s string, list ...string) bool {
	for _, x := range list {
		if s == x {
			return true
		}
	}
	return false
}

// inRoot reports whether a file stands in a directory that WordPress serves
// directly: its own, or the one above.
func (c *checker) inRoot(p string) bool {
	if c.site == nil {
		return path.Dir(p) == "."
	}
	dir := path.Dir(p)
	return dir == c.site.Core || dir == path.Dir(c.site.Core)
}

// foreignRoot reports whether a PHP file of the root is none that WordPress
// or its configuration brings.
func (c *checker) foreignRoot(f *file) bool {
	if c.site == nil || c.site.WordPress.Layout == wordpress.Bedrock && path.Dir(f.path) != c.site.Core && path.Dir(f.path) != "web" {
		return false
	}
	name := f.base()
	if name == "index.php" || name == "xmlrpc.php" || strings.HasPrefix(name, "wp-") || name == "wordfence-waf.php" {
		return false
	}
	return c.site.Config == nil || !oneOf(f.path, c.site.Config.Files...)
}

// ofCore reports whether a path is WordPress's own code.
func (c *checker) ofCore(p string) bool {
	if c.site == nil {
		return false
	}
	core := ""
	if c.site.Core != "." {
		core = c.site.Core + "/"
	}
	return strings.HasPrefix(p, core+"wp-includes/") || strings.HasPrefix(p, core+"wp-admin/") ||
		path.Dir(p) == c.site.Core && strings.HasPrefix(path.Base(p), "wp-") && path.Base(p) != "wp-config.php"
}

// inVendor reports whether a path is of a package manager, or of tests.
func (c *checker) inVendor(p string) bool {
	for part := range strings.SplitSeq(path.Dir(p), "/") {
		if oneOf(part, "vendor", "vendor-prefixed", "node_modules", "tests", "test", "third-party", "lib-vendor") {
			return true
		}
	}
	return false
}
