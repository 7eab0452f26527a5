package rules

import (
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func machineRules() []Rule {
	return []Rule{
		{
			ID: "T20", Title: "A path of another machine", Severities: blocksOrWarns(), Phase: InTree,
			Why: "The file is not there on a node.",
			Fix: "Use __DIR__, ABSPATH or WP_CONTENT_DIR.",
			find: func(v *view) hits {
				if v.site == nil {
					return nil
				}
				return machinePaths(v.tree, v.site, v.Dir)
			},
		},
	}
}

// machinePaths is T20. dir is where the tree lies, if that is known.
func machinePaths(tree *scan.Tree, site *wordpress.Site, dir string) (h hits) {
	config := slices.Clone(site.DropIns)
	if site.Config != nil {
		config = append(config, site.Config.Files...)
	}
	for i := range tree.Files {
		f := &tree.Files[i]
		if !f.Regular() || site.Owns(f.Path) {
			continue
		}
		switch {
		case slices.Contains(config, f.Path):
			h = append(h, pathsInPHP(tree, f, dir, Block)...)
		case f.IsPHP() && path.Dir(f.Path) == site.Content:
			h = append(h, pathsInPHP(tree, f, dir, Warn)...)
		case oneOf(f.Base(), ".user.ini", ".htaccess", "php.ini"):
			h = append(h, pathsInLines(tree, f, dir)...)
		}
	}
	return h
}

func pathsInPHP(tree *scan.Tree, f *scan.File, dir string, s Severity) (h hits) {
	src, err := tree.ReadFile(f.Path, scan.MaxPHP)
	if err != nil {
		return nil
	}
	l := php.NewLexer(src)
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		if (t.Kind == php.TokenString || t.Kind == php.TokenTemplate) && ofMachine(t.Text, dir) {
			h.add(s, place{f.Path, t.Line}, "holds the path %q", printable.Cut(printable.Clean(t.Text), 100))
		}
	}
	return h
}

// pathsInLines looks at the words of a server's file. What PHP runs first is
// judged by W06.
func pathsInLines(tree *scan.Tree, f *scan.File, dir string) (h hits) {
	src, err := tree.ReadFile(f.Path, scan.MaxText)
	if err != nil {
		return nil
	}
	for i, line := range strings.Split(string(src), "\n") {
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' || t[0] == ';' || strings.Contains(t, "auto_prepend_file") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\"'=", r) }) {
			if ofMachine(word, dir) {
				h.warn(place{f.Path, i + 1}, "holds the path %q", printable.Cut(printable.Clean(word), 100))
			}
		}
	}
	return h
}

// ofMachine reports whether a text begins with a path of a developer's or
// another server's disk, or with that of the tree itself.
func ofMachine(s, dir string) bool {
	for _, p := range []string{"/home/", "/Users/", "/var/www/", `C:\`, "C:/"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return dir != "" && dir != "/" && (s == dir || strings.HasPrefix(s, strings.TrimSuffix(dir, "/")+"/"))
}
