package rules

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact/tree"
)

// stateRule leaves something out of every artifact.
type stateRule struct {
	id       string
	patterns []string // as artifact.BuildOptions.Exclude has them
	content  []string // names below wp-content, and below web/app of wordpress.Bedrock
	what     string
}

func stateRules() []stateRule {
	return []stateRule{
		{id: "T06", what: "is left out of the artifact", patterns: []string{
			".git", ".svn", ".hg", ".bzr", "CVS", ".idea", ".vscode", "node_modules", "bower_components", ".sass-cache", ".github",
			".vagrant", "__MACOSX", ".DS_Store", "Thumbs.db",
		}},
		{id: "T10", what: "is a log, and left out of the artifact", patterns: []string{"*.log", "error_log", "php_errorlog"}},
		{id: "W01", what: "is left out of the artifact", content: []string{"uploads"}},
		{id: "W02", what: "is left out of the artifact", content: []string{"upgrade", "upgrade-temp-backup"}},
		{id: "W03", what: "is a cache, and left out of the artifact", content: []string{"cache", "litespeed"}},
		{id: "W05", what: "is a directory of backups, and left out of the artifact", patterns: []string{"/wp-snapshots", "/web/wp-snapshots"},
			content: []string{"updraft", "ai1wm-backups", "backups-dup-lite", "backups-dup-pro", "wpvividbackups", "backup-db"}},
		{id: "W06", what: "is state of a firewall, and left out of the artifact", content: []string{"wflogs", "jetpack-waf"}},
		{id: "W07", what: "is state of a plugin, and left out of the artifact", content: []string{"et-cache", "ewww", "smush-webp"}},
		{id: "W08", what: "is left out of the artifact", content: []string{"blogs.dir"}},
	}
}

func (r stateRule) all() []string {
	list := slices.Clone(r.patterns)
	for _, name := range r.content {
		list = append(list, "wp-content/"+name, "/web/app/"+name)
	}
	return list
}

// NeverShipped lists what no artifact holds, as patterns for
// artifact.BuildOptions.Exclude. Check reports what it meets of it.
func NeverShipped() []string {
	var list []string
	for _, r := range stateRules() {
		list = append(list, r.all()...)
	}
	return list
}

// stateMatcher tells by which rule a path is left out.
type stateMatcher struct {
	rules []stateRule
	match []func(string) bool
}

func newStateMatcher() stateMatcher {
	m := stateMatcher{rules: stateRules()}
	for _, r := range m.rules {
		match, err := tree.Excluded(r.all())
		if err != nil {
			panic(err) // the patterns above are patterns
		}
		m.match = append(m.match, match)
	}
	return m
}

// rule returns the rule that leaves a path out, or nil.
func (m stateMatcher) rule(p string) *stateRule {
	for i, match := range m.match {
		if match(p) {
			return &m.rules[i]
		}
	}
	return nil
}

// contentOf splits a path below a directory of content by its last such
// directory: wp-content wherever it is, or Bedrock's web/app.
func contentOf(p string) (ok bool, sub string) {
	if sub, ok := strings.CutPrefix(p, "web/app/"); ok {
		return true, sub
	}
	if sub, ok := strings.CutPrefix(p, "wp-content/"); ok {
		return true, sub
	}
	if i := strings.LastIndex(p, "/wp-content/"); i >= 0 {
		return true, p[i+len("/wp-content/"):]
	}
	return false, ""
}

// judgeLeftOut is T06, T10 and W01 to W08 but W04: what no artifact
// holds. Directories that are empty, but for an index.php, are not worth a word.
func judgeLeftOut(c *checker) {
	for _, l := range c.left {
		if !l.dir || strings.HasPrefix(l.rule.id, "T") || c.hasContent(l.path) {
			c.fix(l.rule.id, at(l.path), "%s", l.rule.what)
		}
	}
}

// hasContent reports whether a directory holds more than index files.
func (c *checker) hasContent(dir string) bool {
	entries, err := fs.ReadDir(c.tree, dir)
	if err != nil {
		return true
	}
	for _, e := range entries {
		if !oneOf(e.Name(), "index.php", "index.html", ".htaccess", ".gitkeep", ".gitignore") {
			return true
		}
	}
	return false
}

// judgeResidue is T06 for files, which are weight but no danger.
func judgeResidue(c *checker) {
	var names []string
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || c.site != nil && c.ofCore(f.path) {
			continue
		}
		if residue(f.base()) && !c.inVendor(f.path) {
			names = append(names, f.path)
		}
	}
	if len(names) > 0 {
		c.info("T06", at(names[0]), "is for developers%s", andMore(len(names)-1))
	}
}

func residue(name string) bool {
	switch name {
	case ".gitignore", ".gitmodules", ".gitattributes", "Vagrantfile", "Dockerfile", "package.json", "package-lock.json", "yarn.lock",
		"composer.json", "composer.lock", "gulpfile.js", "Gruntfile.js", "webpack.config.js", "wp-cli.yml":
		return true
	}
	return strings.HasPrefix(name, "docker-compose") || strings.HasPrefix(name, "phpunit.xml") || strings.HasPrefix(name, "phpcs.xml")
}

var (
	dumpNames   = regexp.MustCompile(`(?i)\.(sql|sql\.gz|sql\.bz2|sql\.zst|sql\.zip|dump|wpress|daf|jpa)$`)
	backupNames = regexp.MustCompile(`(?i)(\.(bak|old|orig|save|swp|tar|tgz|tar\.gz|tar\.bz2|tar\.xz|7z|rar|zip)|~)$`)
	configCopy  = regexp.MustCompile(`(?i)^wp-config.*\.php`)
)

const largeArchive = 1 << 20

// judgeDumps is T07. Plugins and themes bring archives and tables of their own.
func judgeDumps(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		if !f.regular() || c.inVendor(f.path) {
			continue
		}
		name, size := f.base(), f.info.Size()
		dump := dumpNames.MatchString(name)
		switch {
		case c.copyOfConfig(f):
			c.block("T07", at(f.path), "is a copy of the configuration")
		case !dump && !backupNames.MatchString(name):
		case c.inExtension(f.path):
			c.warn("T07", at(f.path), "looks like a dump or an archive of %d KiB", size>>10)
		case dump || size > largeArchive:
			c.block("T07", at(f.path), "looks like a dump or an archive of %d KiB", size>>10)
		default:
			c.warn("T07", at(f.path), "looks like a backup of %d bytes", size)
		}
	}
}

// copyOfConfig reports wp-config.php.bak and its like. What the configuration
// itself requires is none.
func (c *checker) copyOfConfig(f *file) bool {
	name := f.base()
	if !configCopy.MatchString(name) || oneOf(name, "wp-config.php", "wp-config-sample.php") || c.inExtension(f.path) {
		return false
	}
	return c.site == nil || c.site.Config == nil || !oneOf(f.path, c.site.Config.Files...)
}

// inExtension reports whether a path is inside a plugin or a theme.
func (c *checker) inExtension(p string) bool {
	ok, sub := contentOf(p)
	if !ok {
		return false
	}
	kind, rest, _ := strings.Cut(sub, "/")
	return oneOf(kind, "plugins", "themes", "mu-plugins") && strings.Contains(rest, "/")
}

// judgeSecrets is T08.
func judgeSecrets(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		if secretDir(f) {
			c.block("T08", at(f.path), "is a directory of credentials")
			continue
		}
		if !f.regular() || c.publicCertificates(f.path) {
			continue
		}
		if secretName(f.base()) {
			c.block("T08", at(f.path), "holds secrets, by its name")
			continue
		}
		for _, m := range f.marks {
			switch m.kind {
			case markAccessKey:
				c.block("T08", place{f.path, m.line}, "holds an AWS access key id")
			case markPrivateKey:
				c.block("T08", place{f.path, m.line}, "holds a private key")
			}
		}
	}
}

func secretDir(f *file) bool {
	return f.info.IsDir() && oneOf(f.base(), ".aws", ".ssh", ".gnupg")
}

func secretName(name string) bool {
	lower := strings.ToLower(name)
	switch path.Ext(lower) {
	case ".pem", ".key", ".p12", ".pfx", ".jks":
		return true
	}
	switch {
	case oneOf(lower, ".env", ".htpasswd", ".npmrc", "auth.json", "wp-cli.local.yml"):
		return true
	case strings.HasPrefix(lower, ".env."):
		return !oneOf(lower, ".env.example", ".env.sample", ".env.dist", ".env.pantheon")
	}
	return strings.HasPrefix(lower, "id_rsa") || strings.HasPrefix(lower, "id_ed25519")
}

// publicCertificates are what TLS clients trust, and fixtures of tests.
func (c *checker) publicCertificates(p string) bool {
	name := strings.ToLower(path.Base(p))
	return strings.Contains(p, "wp-includes/certificates/") || strings.HasPrefix(name, "ca-bundle") ||
		strings.HasPrefix(name, "cacert") || c.inVendor(p) && (strings.Contains(p, "/tests/") || strings.Contains(p, "/test/") || strings.HasSuffix(name, ".php") || strings.Contains(name, "cacert"))
}
