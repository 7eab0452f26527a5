package wordpress

import (
	"io/fs"
	"path"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// Site is a tree as WordPress sees it. All paths are from the tree's root.
type Site struct {
	WordPress  artifact.WordPress
	Extensions []string // of PHP, that WordPress's version.php requires
	Core       string   // the directory of WordPress itself
	Content    string   // what WP_CONTENT_DIR is, or ought to be
	Plugins    []Extension
	Themes     []Extension
	DropIns    []string
	MustUse    []string
	Config     *wpconfig.Config // nil when the tree has no wp-config.php
}

// Extension is a plugin or a theme.
type Extension struct {
	Slug     string
	Dir      string // holds it; empty for a plugin that is one file
	File     string // with the headers
	Name     string
	Version  string
	PHP      string   // Requires PHP
	Core     string   // Requires at least
	Requires []string // slugs of plugins
	Parent   string   // slug of the parent theme
}

// Basename is what WordPress calls a plugin in its option active_plugins.
func (x Extension) Basename() string {
	if x.Dir == "" {
		return path.Base(x.File)
	}
	return path.Base(x.Dir) + "/" + path.Base(x.File)
}

// dropIns are files of wp-content that WordPress loads by their names.
func dropIns() []string {
	return []string{
		"advanced-cache.php", "db.php", "db-error.php", "install.php", "maintenance.php", "object-cache.php",
		"php-error.php", "fatal-error-handler.php",
		"sunrise.php", "blog-deleted.php", "blog-inactive.php", "blog-suspended.php",
	}
}

// ReadSite looks at a tree as Inspect does, and further. It fails as Inspect
// does.
func ReadSite(fsys fs.FS) (*Site, error) { return ReadSiteLogged(fsys, &HeaderLog{}) }

// ReadSiteLogged is ReadSite for one who looks at the same tree again and
// again: it adds to the log what it reads of headers, and takes from there what
// the log knows.
func ReadSiteLogged(tree fs.FS, log *HeaderLog) (*Site, error) {
	fsys := &headReader{FS: tree, log: log}
	s, err := inspect(fsys)
	if err != nil {
		return nil, err
	}
	content := s.Content
	if err := s.readConfig(fsys); err != nil {
		return nil, err
	}
	if s.Content != content {
		if err := s.readExtensions(fsys); err != nil {
			return nil, err
		}
	}
	for _, name := range dropIns() {
		if p := path.Join(s.Content, name); safefs.IsFile(fsys, p) {
			s.DropIns = append(s.DropIns, p)
		}
	}
	entries, err := safefs.ReadDir(fsys, path.Join(s.Content, "mu-plugins"))
	for _, e := range entries {
		if p := path.Join(s.Content, "mu-plugins", e.Name()); strings.HasSuffix(p, ".php") && safefs.IsFile(fsys, p) {
			s.MustUse = append(s.MustUse, p)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, s.readRequired(fsys)
}

// readConfig finds wp-config.php as WordPress does: beside wp-load.php, else
// one directory above if that holds no WordPress of its own.
func (s *Site) readConfig(fsys fs.FS) error {
	name := path.Join(s.Core, "wp-config.php")
	if above := path.Dir(s.Core); !safefs.IsFile(fsys, name) && s.Core != "." && !safefs.IsFile(fsys, path.Join(above, "wp-settings.php")) {
		name = path.Join(above, "wp-config.php")
	}
	if !safefs.IsFile(fsys, name) {
		return nil
	}
	config, err := wpconfig.Read(fsys, name, s.Core)
	if err != nil {
		return err
	}
	s.Config = config
	if k, ok := config.Get("WP_CONTENT_DIR"); ok {
		if dir, inside := k.Value.InTree(); inside && safefs.IsDir(fsys, dir) {
			s.Content = dir
		}
	}
	return nil
}

// readRequired reads $required_php_extensions, an array of names.
func (s *Site) readRequired(fsys fs.FS) error {
	src, err := safefs.ReadFile(fsys, path.Join(s.Core, VersionFile), maxVersionFile)
	if err != nil {
		return err
	}
	l := php.NewLexer(src)
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		if t.Kind != php.TokenVariable || t.Text != "required_php_extensions" {
			continue
		}
		for t = l.Next(); t.Kind != php.TokenEnd && !t.Sign(';'); t = l.Next() {
			if t.Kind == php.TokenString {
				s.Extensions = append(s.Extensions, printable.Clean(t.Text))
			}
		}
	}
	return nil
}

// Owns reports whether a path is of WordPress's own code. Where there is no
// WordPress, none is.
func (s *Site) Owns(p string) bool {
	if s == nil {
		return false
	}
	core := ""
	if s.Core != "." {
		core = s.Core + "/"
	}
	return strings.HasPrefix(p, core+"wp-includes/") || strings.HasPrefix(p, core+"wp-admin/") ||
		path.Dir(p) == s.Core && strings.HasPrefix(path.Base(p), "wp-") && path.Base(p) != "wp-config.php"
}

// Serves reports whether a path stands in a directory that the web server
// shows directly: WordPress's own, or the one above. Where there is no
// WordPress, that is the root of the tree.
func (s *Site) Serves(p string) bool {
	dir := path.Dir(p)
	if s == nil {
		return dir == "."
	}
	return dir == s.Core || dir == path.Dir(s.Core)
}

// LoadedEarly lists the files that are loaded before WordPress prints anything.
func (s *Site) LoadedEarly() []string {
	var list []string
	if s.Config != nil {
		list = append(list, s.Config.Files...)
	}
	for _, x := range s.Plugins {
		list = append(list, x.File)
	}
	for _, x := range s.Themes {
		list = append(list, path.Join(x.Dir, "functions.php"))
	}
	list = append(list, s.DropIns...)
	return append(list, s.MustUse...)
}
