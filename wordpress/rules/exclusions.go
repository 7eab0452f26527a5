package rules

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func exclusionRules() []Rule {
	return []Rule{
		{
			ID: "T06", Title: "Version control and what developers leave behind", Severities: []Severity{Fix, Info}, Phase: InTree,
			Why:  "It gives source and history away where dotfiles are served, and is weight.",
			Fix:  "Nothing: directories are left out of the artifact. Files can be with exclude.",
			find: all(leftOut("T06"), onAnySite(residue)),
		},
		{
			ID: "T10", Title: "Logs", Severities: fixes(), Phase: InTree,
			Why:  "They are state of one machine, and tell too much.",
			Fix:  "Nothing: logs are left out of the artifact. Send them to stderr or CloudWatch.",
			find: leftOut("T10"),
		},
		{
			ID: "W01", Title: "Uploads in the tree", Severities: fixes(), Phase: InTree,
			Why:  "Media belongs to the site, not to a release: what is uploaded to one node is 404 on the others, and gone with it.",
			Fix:  "Nothing for the tree: uploads are left out of the artifact. Keep them in S3, or on a file system that all nodes mount.",
			find: leftOut("W01"),
		},
		{
			ID: "W02", Title: "What an update left behind", Severities: fixes(), Phase: InTree,
			Why:  "wp-content/upgrade and upgrade-temp-backup are scratch space of the updater.",
			Fix:  "Nothing: it is left out of the artifact.",
			find: leftOut("W02"),
		},
		{
			ID: "W03", Title: "A cache in the tree", Severities: fixes(), Phase: InTree,
			Why:  "A cache on one node is stale on all others; baked into a release it is stale everywhere.",
			Fix:  "Nothing for the tree: caches are left out. Point the plugin at a directory of the node, or turn file caching off.",
			find: leftOut("W03"),
		},
		{
			ID: "W05", Title: "Backups in the tree", Severities: fixes(), Phase: InTree,
			Why:  "Backups made on a node vanish with it; baked into a release they are on every node for anybody to find.",
			Fix:  "Nothing for the tree: they are left out. Remove the plugin: snapshots of the database and the store of releases are the backup.",
			find: leftOut("W05"),
		},
		{
			ID: "W06", Title: "Files of a firewall plugin", Severities: []Severity{Block, Fix}, Phase: InTree,
			Why:  "Rules and attack data in files differ by node, and auto_prepend_file with a path of another machine ends every request.",
			Fix:  "Use its database storage (WFWAF_STORAGE_ENGINE), or turn its firewall off; write auto_prepend_file in the nodes' php.ini.",
			find: all(leftOut("W06"), onTree(firewalls)),
		},
		{
			ID: "W07", Title: "State of plugins that is kept in files", Severities: fixes(), Phase: InTree,
			Why:  "Generated files are on one node only.",
			Fix:  "Nothing for the tree: it is left out. Let the plugin embed its CSS, or keep the directory where all nodes see it.",
			find: leftOut("W07"),
		},
		{
			ID: "W08", Title: "Uploads of an old multisite (blogs.dir)", Severities: fixes(), Phase: InTree,
			Why:  "Media belongs to the site, not to a release.",
			Fix:  "Nothing for the tree: it is left out. Keep it in S3, or on a file system that all nodes mount.",
			find: leftOut("W08"),
		},
	}
}

// exclusion leaves something out of every artifact.
type exclusion struct {
	rule     string
	what     string   // it is, and that it is left out
	patterns []string // as build.Options.Exclude has them
	content  []string // names below wp-content, and below web/app of Bedrock
}

func exclusions() []exclusion {
	return []exclusion{
		{rule: "T06", what: "is left out of the artifact", patterns: []string{
			".git", ".svn", ".hg", ".bzr", "CVS", ".idea", ".vscode", "node_modules", "bower_components", ".sass-cache", ".github",
			".vagrant", "__MACOSX", ".DS_Store", "Thumbs.db",
		}},
		{rule: "T10", what: "is a log, and left out of the artifact", patterns: []string{"*.log", "error_log", "php_errorlog"}},
		{rule: "W01", what: "is left out of the artifact", content: []string{"uploads"}},
		{rule: "W02", what: "is left out of the artifact", content: []string{"upgrade", "upgrade-temp-backup"}},
		{rule: "W03", what: "is a cache, and left out of the artifact", content: []string{"cache", "litespeed"}},
		{rule: "W05", what: "is a directory of backups, and left out of the artifact", patterns: []string{"/wp-snapshots", "/web/wp-snapshots"},
			content: []string{"updraft", "ai1wm-backups", "backups-dup-lite", "backups-dup-pro", "wpvividbackups", "backup-db"}},
		{rule: "W06", what: "is state of a firewall, and left out of the artifact", content: []string{"wflogs", "jetpack-waf"}},
		{rule: "W07", what: "is state of a plugin, and left out of the artifact", content: []string{"et-cache", "ewww", "smush-webp"}},
		{rule: "W08", what: "is left out of the artifact", content: []string{"blogs.dir"}},
	}
}

func (e exclusion) all() []string {
	list := slices.Clone(e.patterns)
	for _, name := range e.content {
		list = append(list, "wp-content/"+name, "/web/app/"+name)
	}
	return list
}

// NeverShipped lists what no artifact holds, as patterns for
// build.Options.Exclude. Check reports what it meets of it.
func NeverShipped() []string {
	var list []string
	for _, e := range exclusions() {
		list = append(list, e.all()...)
	}
	return list
}

// exclusionMatcher tells by which rule a path is left out.
type exclusionMatcher struct {
	rules []string
	match []func(string) bool
}

func newExclusions() exclusionMatcher {
	var m exclusionMatcher
	for _, e := range exclusions() {
		match, err := tree.Excluded(e.all())
		if err != nil {
			panic(err) // the patterns above are patterns
		}
		m.rules, m.match = append(m.rules, e.rule), append(m.match, match)
	}
	return m
}

// of returns the rule that leaves a path out.
func (m exclusionMatcher) of(p string) (rule string, out bool) {
	for i, match := range m.match {
		if match(p) {
			return m.rules[i], true
		}
	}
	return "", false
}

// leftOut finds what a rule leaves out. Directories that are empty, but for an
// index.php, are not worth a word.
func leftOut(rule string) finder {
	return onTree(func(tree *scan.Tree) (h hits) {
		i := slices.IndexFunc(exclusions(), func(e exclusion) bool { return e.rule == rule })
		what := exclusions()[i].what
		for _, l := range tree.LeftOut {
			if l.By == rule && (!l.Dir || strings.HasPrefix(rule, "T") || hasContent(tree.FS, l.Path)) {
				h.fix(at(l.Path), "%s", what)
			}
		}
		return h
	})
}

// hasContent reports whether a directory holds more than index files.
func hasContent(fsys fs.FS, dir string) bool {
	entries, err := fs.ReadDir(fsys, dir)
	return err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return !oneOf(e.Name(), "index.php", "index.html", ".htaccess", ".gitkeep", ".gitignore")
	})
}

// residue is T06 for files, which are weight but no danger.
func residue(tree *scan.Tree, site *wordpress.Site) (h hits) {
	var found []string
	for i := range tree.Files {
		f := &tree.Files[i]
		if f.Regular() && !site.Owns(f.Path) && isResidue(f.Base()) && !inVendor(f.Path) {
			found = append(found, f.Path)
		}
	}
	if len(found) > 0 {
		h.info(at(found[0]), "is for developers%s", andMore(len(found)-1))
	}
	return h
}

func isResidue(name string) bool {
	switch name {
	case ".gitignore", ".gitmodules", ".gitattributes", "Vagrantfile", "Dockerfile", "package.json", "package-lock.json", "yarn.lock",
		"composer.json", "composer.lock", "gulpfile.js", "Gruntfile.js", "webpack.config.js", "wp-cli.yml":
		return true
	}
	return strings.HasPrefix(name, "docker-compose") || strings.HasPrefix(name, "phpunit.xml") || strings.HasPrefix(name, "phpcs.xml")
}
