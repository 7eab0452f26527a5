package wordpress

import (
	"io/fs"
	"path"
	"strings"

	"github.com/wpbake/wpbake/artifact"
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
	Config     *Config // nil when the tree has no wp-config.php
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
func ReadSite(fsys fs.FS) (*Site, error) { return readSite(&headReader{FS: fsys}) }

func readSite(fsys *headReader) (*Site, error) {
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
		if p := path.Join(s.Content, name); isFile(fsys, p) {
			s.DropIns = append(s.DropIns, p)
		}
	}
	entries, err := readDir(fsys, path.Join(s.Content, "mu-plugins"))
	for _, e := range entries {
		if p := path.Join(s.Content, "mu-plugins", e.Name()); strings.HasSuffix(p, ".php") && isFile(fsys, p) {
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
	if above := path.Dir(s.Core); !isFile(fsys, name) && s.Core != "." && !isFile(fsys, path.Join(above, "wp-settings.php")) {
		name = path.Join(above, "wp-config.php")
	}
	if !isFile(fsys, name) {
		return nil
	}
	config, err := readConfig(fsys, name, s.Core)
	if err != nil {
		return err
	}
	s.Config = config
	if k, ok := config.Get("WP_CONTENT_DIR"); ok {
		if dir, inside := k.Value.inTree(); inside && isDir(fsys, dir) {
			s.Content = dir
		}
	}
	return nil
}

// readRequired reads $required_php_extensions, an array of names.
func (s *Site) readRequired(fsys fs.FS) error {
	src, err := readFile(fsys, path.Join(s.Core, versionFile), maxVersionFile)
	if err != nil {
		return err
	}
	l := newLexer(src)
	for t := l.next(); t.kind != tokEnd; t = l.next() {
		if t.kind != tokVar || t.text != "required_php_extensions" {
			continue
		}
		for t = l.next(); t.kind != tokEnd && !t.sign(';'); t = l.next() {
			if t.kind == tokString {
				s.Extensions = append(s.Extensions, clean(t.text))
			}
		}
	}
	return nil
}
