// Package wordpress says what a tree is as WordPress: its version, what it
// needs, its plugins and themes.
//
// It knows WordPress's files and how WordPress itself reads them. It refuses
// to run any of them, to know artifacts' bytes, stores and clouds, and to judge
// what it sees: that is package rules, below.
//
// Imports run one way: php and nodeconfig, wpconfig, scan, this package,
// database, rules.
package wordpress

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
)

// Layouts of a tree.
const (
	Classic      = "classic"       // WordPress at the root
	OwnDirectory = "own-directory" // WordPress in a directory, its index.php above
	Bedrock      = "bedrock"       // web/wp and web/app, as roots/bedrock has them
	Debian       = "debian"        // Debian's package, whose wp-config.php reads /etc/wordpress
)

// NotWordPress says that a tree holds no WordPress that could run.
type NotWordPress struct {
	Missing []string // what was looked for
	Found   []string // more than one WordPress: where
}

func (e *NotWordPress) Error() string {
	if len(e.Found) > 1 {
		return fmt.Sprintf("it holds more than one WordPress: %s", quoted(e.Found))
	}
	return fmt.Sprintf("it is not WordPress: %s is missing", quoted(e.Missing))
}

// Hint says what to do next.
func (e *NotWordPress) Hint() string {
	if len(e.Found) > 1 {
		return "--tree DIR names the directory of one of them"
	}
	return "--tree DIR names the directory that holds wp-includes, or the one above it"
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}

// VersionFile is what says which WordPress it is, below its directory.
const VersionFile = "wp-includes/version.php"

// version.php has some 50 lines; more than this is something else.
const maxVersionFile = 64 << 10

// Files and directories without which no WordPress answers a request.
var (
	neededFiles = []string{"wp-load.php", "wp-settings.php", "wp-blog-header.php"}
	neededDirs  = []string{"wp-admin"}
)

// Inspect looks at a tree. The error is a *NotWordPress when it holds none,
// more than one, or an incomplete one.
func Inspect(fsys fs.FS) (artifact.WordPress, error) {
	s, err := inspect(&headReader{FS: fsys, log: &HeaderLog{}})
	if err != nil {
		return artifact.WordPress{}, err
	}
	return s.WordPress, nil
}

// inspect finds WordPress itself, its version, plugins and themes.
func inspect(tree *headReader) (*Site, error) {
	core, layout, err := Locate(tree)
	if err != nil {
		return nil, err
	}
	if missing := missingFrom(tree, core); len(missing) > 0 {
		return nil, &NotWordPress{Missing: missing}
	}
	name := path.Join(core, VersionFile)
	src, err := safefs.ReadFile(tree, name, maxVersionFile)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	v := php.ReadAssignments(src)
	s := &Site{Core: core, Content: contentDir(tree, core, layout), WordPress: artifact.WordPress{
		Core:   printable.Clean(v.Text["wp_version"]),
		PHP:    printable.Clean(v.Text["required_php_version"]),
		MySQL:  printable.Clean(v.Text["required_mysql_version"]),
		Locale: printable.Clean(v.Text["wp_local_package"]),
		Layout: layout,
	}}
	w := &s.WordPress
	var ok bool
	if w.DBVersion, ok = v.Number["wp_db_version"]; w.Core == "" || !ok {
		return nil, &NotWordPress{Missing: absentFrom(name, w.Core, ok)}
	}
	if err := s.readExtensions(tree); err != nil {
		return nil, err
	}
	w.Plugins, w.Themes = components(s.Plugins), components(s.Themes)
	return s, nil
}

func absentFrom(name, core string, hasDB bool) []string {
	var missing []string
	if core == "" {
		missing = append(missing, "$wp_version in "+name)
	}
	if !hasDB {
		missing = append(missing, "$wp_db_version in "+name)
	}
	return missing
}

// Locate finds the directory of WordPress itself: at the root, or in one of
// its directories, or in Bedrock's web/wp.
func Locate(fsys fs.FS) (core, layout string, err error) {
	if safefs.IsFile(fsys, VersionFile) {
		if ofDebian(fsys) {
			return ".", Debian, nil
		}
		return ".", Classic, nil
	}
	if safefs.IsFile(fsys, "web/wp/"+VersionFile) {
		return "web/wp", Bedrock, nil
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", "", fmt.Errorf("reading tree: %w", err)
	}
	var found []string
	for _, e := range entries {
		if safefs.IsFile(fsys, path.Join(e.Name(), VersionFile)) {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 0:
		return "", "", &NotWordPress{Missing: []string{VersionFile}}
	case 1:
		return found[0], OwnDirectory, nil
	default:
		return "", "", &NotWordPress{Found: found}
	}
}

// ofDebian reports whether the configuration is the one that Debian's package
// brings.
func ofDebian(fsys fs.FS) bool {
	if !safefs.IsFile(fsys, "wp-config.php") {
		return false
	}
	src, err := safefs.ReadFile(fsys, "wp-config.php", maxVersionFile)
	return err == nil && strings.Contains(string(src), "'/etc/wordpress/config-'")
}

func missingFrom(fsys fs.FS, core string) []string {
	var missing []string
	for _, name := range neededFiles {
		if name = path.Join(core, name); !safefs.IsFile(fsys, name) {
			missing = append(missing, name)
		}
	}
	for _, name := range neededDirs {
		if name = path.Join(core, name); !safefs.IsDir(fsys, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// contentDir is where plugins and themes are looked for. A tree with
// WordPress in its own directory may keep them beside it.
func contentDir(fsys fs.FS, core, layout string) string {
	switch {
	case layout == Bedrock:
		return "web/app"
	case layout == OwnDirectory && safefs.IsDir(fsys, "wp-content"):
		return "wp-content"
	default:
		return path.Join(core, "wp-content")
	}
}
