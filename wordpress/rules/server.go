package rules

import (
	"fmt"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func serverRules() []Rule {
	return []Rule{
		{
			ID: "D06", Title: "Rules in .htaccess", Severities: warns(), Phase: InTree,
			Why:  "nginx does not read them: rewrites, denials and redirects are lost without a word.",
			Fix:  "Move them into the nodes' nginx configuration.",
			find: onTree(htaccess),
		},
		{
			ID: "D07", Title: ".user.ini or php.ini in the tree", Severities: warns(), Phase: InTree,
			Why:  "PHP reads .user.ini for each directory; it can change anything, also which file runs first.",
			Fix:  "Move the settings into the nodes' php.ini.",
			find: onTree(userINI),
		},
	}
}

// htaccess is D06: rules outside of the block that WordPress writes. What
// only denies access to a plugin's own directory is not worth a word for each.
func htaccess(tree *scan.Tree) (h hits) {
	var deep []string
	for f := range ownFiles(tree, ".htaccess") {
		src, err := tree.ReadFile(f.Path, scan.MaxText)
		if err != nil {
			continue
		}
		n, first := ownRules(string(src))
		switch {
		case n == 0:
		case inExtension(f.Path):
			deep = append(deep, f.Path)
		default:
			h.warn(place{f.Path, first}, "%d rule(s) that nginx does not read", n)
		}
	}
	if len(deep) > 0 {
		h.warn(at(deep[0]), "holds rules that nginx does not read%s", andMore(len(deep)-1))
	}
	return h
}

// ownRules counts the rules that are not WordPress's, and returns the line of
// the first.
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

// userINI is D07. Which file PHP runs first is judged by W06.
func userINI(tree *scan.Tree) (h hits) {
	for f := range ownFiles(tree, ".user.ini", "php.ini") {
		src, err := tree.ReadFile(f.Path, scan.MaxText)
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
			h.warn(at(f.Path), "sets %s", strings.Join(names[:min(len(names), 5)], ", ")+more(len(names)-5))
		}
	}
	return h
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}
