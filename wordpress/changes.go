package wordpress

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// Change is a part of WordPress that is not the same in two releases. An empty
// version says that the part is not there, or has none.
type Change struct {
	Kind   string `json:"kind"` // core, database, php, mysql, plugin, theme, mu-plugins, drop-in or assets
	Slug   string `json:"slug,omitempty"`
	Change string `json:"change"` // added, removed or changed
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Files  int    `json:"files,omitempty"`  // that differ
	Active bool   `json:"active,omitempty"` // in the database; false also when that was not asked
}

// Changes says in WordPress's terms what differs between two releases, of
// which either may not be known as WordPress. files are the paths that differ;
// db may be nil.
func Changes(before, after *artifact.WordPress, files []artifact.Change, active func(Change) bool) []Change {
	none := artifact.WordPress{}
	if before == nil {
		before = &none
	}
	if after == nil {
		after = &none
	}
	counts := countParts(files)
	changes := []Change{}
	for _, x := range []struct{ kind, before, after string }{
		{"core", before.Core, after.Core},
		{"database", numbered(before.DBVersion), numbered(after.DBVersion)},
		{"php", before.PHP, after.PHP},
		{"mysql", before.MySQL, after.MySQL},
	} {
		n := counts[Part{x.kind, ""}]
		if x.before != x.after || n > 0 {
			changes = append(changes, Change{Kind: x.kind, Change: "changed", Before: x.before, After: x.after, Files: n})
		}
	}
	changes = append(changes, componentChanges("plugin", before.Plugins, after.Plugins, counts)...)
	changes = append(changes, componentChanges("theme", before.Themes, after.Themes, counts)...)
	for _, kind := range []string{"mu-plugins", "drop-in"} {
		for _, p := range sortedParts(counts, kind) {
			changes = append(changes, Change{Kind: kind, Slug: p.Slug, Change: "changed", Files: counts[p]})
		}
	}
	if n := counts[Part{"assets", ""}]; n > 0 {
		changes = append(changes, Change{Kind: "assets", Change: "removed", Files: n})
	}
	for i := range changes {
		changes[i].Active = active(changes[i])
	}
	return changes
}

func numbered(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// componentChanges compares plugins or themes.
func componentChanges(kind string, before, after []artifact.Component, counts map[Part]int) []Change {
	var changes []Change
	for _, b := range before {
		x := Change{Kind: kind, Slug: b.Slug, Change: "removed", Before: b.Version, Files: counts[Part{kind, b.Slug}]}
		if version, ok := VersionOf(after, b.Slug); ok {
			x.Change, x.After = "changed", version
		}
		if x.Change == "removed" || x.Before != x.After || x.Files > 0 {
			changes = append(changes, x)
		}
	}
	for _, a := range after {
		if _, ok := VersionOf(before, a.Slug); !ok {
			changes = append(changes, Change{Kind: kind, Slug: a.Slug, Change: "added", After: a.Version, Files: counts[Part{kind, a.Slug}]})
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.Slug, b.Slug) })
	return changes
}

// Part is what a file belongs to.
type Part struct{ Kind, Slug string }

func sortedParts(counts map[Part]int, kind string) []Part {
	var parts []Part
	for p := range counts {
		if p.Kind == kind {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b Part) int { return strings.Compare(a.Slug, b.Slug) })
	return parts
}

// countParts counts files that differ, by what they belong to.
func countParts(files []artifact.Change) map[Part]int {
	counts := map[Part]int{}
	for _, f := range files {
		if isDirectory(f.Before) && isDirectory(f.After) {
			continue
		}
		counts[PartOf(f.Path)]++
		if f.After == nil && IsAsset(f.Path) {
			counts[Part{"assets", ""}]++
		}
	}
	return counts
}

func isDirectory(e *artifact.Entry) bool { return e == nil || e.Kind == "directory" }

// PartOf finds what a path belongs to, in any layout.
func PartOf(p string) Part {
	names := strings.Split(p, "/")
	for i, name := range names[:len(names)-1] {
		if name == "wp-admin" || name == "wp-includes" {
			return Part{"core", ""}
		}
		if name != "wp-content" && (name != "app" || i != 1 || names[0] != "web") {
			continue
		}
		rest := names[i+1:]
		switch {
		case len(rest) == 1 && path.Ext(rest[0]) == ".php" && rest[0] != "index.php":
			return Part{"drop-in", rest[0]}
		case rest[0] == "mu-plugins":
			return Part{"mu-plugins", ""}
		case rest[0] == "plugins" && len(rest) > 1:
			return Part{"plugin", strings.TrimSuffix(rest[1], ".php")}
		case rest[0] == "themes" && len(rest) > 1:
			return Part{"theme", rest[1]}
		}
		return Part{"content", ""}
	}
	if base := names[len(names)-1]; strings.HasPrefix(base, "wp-") && !strings.HasPrefix(base, "wp-config") || base == "xmlrpc.php" {
		return Part{"core", ""}
	}
	return Part{"other", ""}
}

// IsAsset reports whether a page can ask for the file by its name: while two
// releases serve side by side, what one lacks is missing from the other's pages.
func IsAsset(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".css", ".js", ".mjs", ".map", ".woff", ".woff2", ".ttf", ".otf", ".eot", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico":
		return true
	}
	return false
}

// VersionOf returns the version of a plugin or theme, if the list has it.
func VersionOf(list []artifact.Component, slug string) (version string, ok bool) {
	i := slices.IndexFunc(list, func(c artifact.Component) bool { return c.Slug == slug })
	if i < 0 {
		return "", false
	}
	return list[i].Version, true
}
