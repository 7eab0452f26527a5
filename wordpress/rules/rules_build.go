package rules

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

// judgeBuilds is T14: signs of a build step that nobody has run.
func judgeBuilds(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		for _, m := range f.marks {
			if m.kind == markPointer {
				c.block("T14", at(f.path), "is a pointer of Git LFS, not the file")
			}
		}
		if !f.regular() || c.inVendor(f.path) {
			continue
		}
		switch f.base() {
		case "composer.json":
			c.judgeComposer(f)
		case ".gitmodules":
			c.judgeSubmodules(f)
		case "mix-manifest.json", "manifest.json":
			c.judgeManifest(f)
		}
	}
	c.judgeManifestMissing()
}

const maxJSON = 1 << 20

// judgeComposer finds packages that are required and not installed, where code
// loads them.
func (c *checker) judgeComposer(f *file) {
	var doc struct {
		Require map[string]json.RawMessage `json:"require"`
		Config  struct {
			Vendor string `json:"vendor-dir"`
		} `json:"config"`
	}
	src, err := c.read(f.path, maxJSON)
	if err != nil || json.Unmarshal(src, &doc) != nil {
		return
	}
	needs := ""
	for _, name := range sortedKeys(doc.Require) {
		if strings.Contains(name, "/") && !strings.HasPrefix(name, "composer/installers") {
			needs = name
			break
		}
	}
	dir := path.Dir(f.path)
	vendor := path.Join(dir, "vendor")
	if doc.Config.Vendor != "" && !strings.ContainsAny(doc.Config.Vendor, "$\\") {
		vendor = path.Join(dir, doc.Config.Vendor)
	}
	if needs == "" || c.has(path.Join(vendor, "autoload.php")) {
		return
	}
	for _, g := range c.below(dir) {
		if i := slices.IndexFunc(g.marks, func(m mark) bool { return m.kind == markAutoload }); i >= 0 && !c.inVendor(g.path) {
			c.block("T14", at(f.path), "requires %s, which is not installed, and %s:%d loads vendor/autoload.php", printable.Clean(needs), g.path, g.marks[i].line)
			return
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var submodulePath = regexp.MustCompile(`(?m)^\s*path\s*=\s*(\S.*?)\s*$`)

// judgeSubmodules finds submodules that were not checked out.
func (c *checker) judgeSubmodules(f *file) {
	src, err := c.read(f.path, maxJSON)
	if err != nil {
		return
	}
	for _, m := range submodulePath.FindAllSubmatch(src, -1) {
		dir := path.Join(path.Dir(f.path), string(m[1]))
		if fs.ValidPath(dir) && len(c.below(dir)) == 0 {
			c.block("T14", at(dir), "is a git submodule that was not checked out")
		}
	}
}

// judgeManifest finds assets that a theme's manifest names and that are not
// there. Only flat maps of file names are such manifests.
func (c *checker) judgeManifest(f *file) {
	ok, sub := contentOf(f.path)
	if !ok || !strings.HasPrefix(sub, "themes/") {
		return
	}
	var entries map[string]string
	src, err := c.read(f.path, maxJSON)
	if err != nil || json.Unmarshal(src, &entries) != nil {
		return
	}
	for _, key := range sortedKeys(entries) {
		target, _, _ := strings.Cut(entries[key], "?")
		target = strings.TrimLeft(target, "/")
		if !oneOf(path.Ext(target), ".js", ".css") || strings.Contains(target, "://") {
			continue
		}
		p := path.Join(path.Dir(f.path), target)
		if !c.has(p) && !c.has(path.Join(path.Dir(f.path), path.Base(target))) {
			c.block("T14", at(f.path), "names %s, which is not there", printable.Clean(target))
			return
		}
	}
}

// judgeManifestMissing finds themes that read a manifest which is not there.
func (c *checker) judgeManifestMissing() {
	if c.site == nil {
		return
	}
	for _, x := range c.site.Themes {
		var reads *file
		line, have := 0, false
		files := c.below(x.Dir)
		for i := range files {
			f := &files[i]
			have = have || oneOf(f.base(), "mix-manifest.json", "manifest.json")
			for _, m := range f.marks {
				if m.kind == markManifest && reads == nil && !c.inVendor(f.path) {
					reads, line = f, m.line
				}
			}
		}
		if reads != nil && !have && c.unguarded(reads) {
			c.block("T14", place{reads.path, line}, "reads a manifest of assets, which is not there")
		}
	}
}

// unguarded reports whether a file reads its manifest without asking first
// whether it is there.
func (c *checker) unguarded(f *file) bool {
	src, err := c.read(f.path, lookPHP)
	if err != nil {
		return false
	}
	return !strings.Contains(string(src), "file_exists") && !strings.Contains(string(src), "is_readable")
}

// judgePaths is T20: paths of the machine where the tree was made.
func judgePaths(c *checker) {
	if c.site == nil {
		return
	}
	config := map[string]bool{}
	if c.site.Config != nil {
		for _, p := range c.site.Config.Files {
			config[p] = true
		}
	}
	for _, p := range c.site.DropIns {
		config[p] = true
	}
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || c.ofCore(f.path) {
			continue
		}
		switch {
		case config[f.path]:
			c.judgeLiterals(f, Block)
		case f.php() && path.Dir(f.path) == c.site.Content:
			c.judgeLiterals(f, Warn)
		case oneOf(f.base(), ".user.ini", ".htaccess", "php.ini"):
			c.judgeLines(f)
		}
	}
}

func (c *checker) judgeLiterals(f *file, s Severity) {
	src, err := c.read(f.path, lookPHP)
	if err != nil {
		return
	}
	l := php.NewLexer(src)
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		if (t.Kind == php.TokenString || t.Kind == php.TokenTemplate) && c.machinePath(t.Text) {
			c.add(s, "T20", place{f.path, t.Line}, fmt.Sprintf("holds the path %q", printable.Cut(printable.Clean(t.Text), 100)))
		}
	}
}

// judgeLines looks at the words of a server's file. What PHP runs first is
// judged by W06.
func (c *checker) judgeLines(f *file) {
	src, err := c.read(f.path, lookText)
	if err != nil {
		return
	}
	for i, line := range strings.Split(string(src), "\n") {
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' || t[0] == ';' || strings.Contains(t, "auto_prepend_file") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\"'=", r) }) {
			if c.machinePath(word) {
				c.warn("T20", place{f.path, i + 1}, "holds the path %q", printable.Cut(printable.Clean(word), 100))
			}
		}
	}
}

// machinePath reports whether a text begins with a path of a developer's or
// another server's disk.
func (c *checker) machinePath(s string) bool {
	for _, p := range []string{"/home/", "/Users/", "/var/www/", `C:\`, "C:/"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return c.Dir != "" && c.Dir != "/" && (s == c.Dir || strings.HasPrefix(s, strings.TrimSuffix(c.Dir, "/")+"/"))
}
