package wordpress

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

var (
	pluginHeaders = []string{"Plugin Name", "Version", "Requires PHP", "Requires at least", "Requires Plugins"}
	themeHeaders  = []string{"Theme Name", "Version", "Requires PHP", "Requires at least", "Template"}
)

// HeaderLog is what was read of the headers of plugins' and themes' files, for
// the next look at the same tree. The zero value knows nothing.
type HeaderLog struct {
	// Known returns the headers of a file in or below a directory of plugins or
	// themes, none if it has none; not ok when it is to be read. nil knows none.
	Known func(dir, file string) (values map[string]string, ok bool)
	Dirs  []string      // of plugins and themes that were listed
	Files []FileHeaders // that have headers, in the order they were asked for
}

// FileHeaders are the headers of a file, by their names.
type FileHeaders struct {
	File   string
	Values map[string]string
}

func (l *HeaderLog) known(dir, file string) (values map[string]string, ok bool) {
	if l.Known == nil {
		return nil, false
	}
	return l.Known(dir, file)
}

// headReader is a tree of whose plugins and themes the headers are read.
type headReader struct {
	fs.FS
	log *HeaderLog
}

// ReadDir, Stat and the rest of fs's interfaces are those of the tree below.
func (r *headReader) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.FS, name) }
func (r *headReader) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(r.FS, name) }

// readExtensions lists plugins and themes below the directory of contents.
func (s *Site) readExtensions(tree *headReader) (err error) {
	if s.Plugins, err = tree.plugins(path.Join(s.Content, "plugins")); err != nil {
		return err
	}
	s.Themes, err = tree.themes(path.Join(s.Content, "themes"))
	return err
}

// enter lists a directory of plugins or themes, and notes that it was asked.
func (r *headReader) enter(dir string) ([]fs.DirEntry, error) {
	r.log.Dirs = append(r.log.Dirs, dir)
	return safefs.ReadDir(r, dir)
}

// plugins lists plugins: a PHP file with a "Plugin Name" header, in the
// directory itself or one below.
func (r *headReader) plugins(dir string) ([]Extension, error) {
	entries, err := r.enter(dir)
	if err != nil {
		return nil, err
	}
	var list []Extension
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !safefs.IsDir(r, p) {
			if x, ok, err := r.extension(dir, p, ".php", pluginHeaders); err != nil {
				return nil, err
			} else if ok {
				x.Slug = strings.TrimSuffix(e.Name(), ".php")
				list = append(list, x)
			}
			continue
		}
		inner, err := safefs.ReadDir(r, p)
		if err != nil {
			return nil, err
		}
		for _, e := range inner {
			x, ok, err := r.extension(dir, path.Join(p, e.Name()), ".php", pluginHeaders)
			if err != nil {
				return nil, err
			}
			if ok {
				x.Slug, x.Dir = path.Base(p), p
				list = append(list, x)
			}
		}
	}
	return list, nil
}

// themes lists themes: directories whose style.css has a "Theme Name" header.
func (r *headReader) themes(dir string) ([]Extension, error) {
	entries, err := r.enter(dir)
	if err != nil {
		return nil, err
	}
	var list []Extension
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		x, ok, err := r.extension(dir, path.Join(p, "style.css"), ".css", themeHeaders)
		if err != nil {
			return nil, err
		}
		if ok {
			x.Slug, x.Dir = e.Name(), p
			list = append(list, x)
		}
	}
	return list, nil
}

// extension reads the headers of a plugin's or theme's file; the first of names
// is the one without which it is none. dir is where plugins or themes are.
func (r *headReader) extension(dir, name, ext string, names []string) (Extension, bool, error) {
	if !strings.HasSuffix(name, ext) || strings.HasPrefix(path.Base(name), ".") || !safefs.IsFile(r, name) {
		return Extension{}, false, nil
	}
	h, known := r.log.known(dir, name)
	if !known {
		src, err := safefs.ReadFile(r, name, headerBytes)
		if errors.Is(err, fs.ErrPermission) {
			return Extension{}, false, nil
		}
		if err != nil {
			return Extension{}, false, err
		}
		if bytes.Contains(bytes.ToLower(src), []byte("name")) {
			h = headers(src, names...)
		}
	}
	if h[names[0]] == "" {
		return Extension{}, false, nil
	}
	r.log.Files = append(r.log.Files, FileHeaders{name, h})
	x := Extension{
		File: name, Name: h[names[0]], Version: h["Version"], PHP: h["Requires PHP"], Core: h["Requires at least"],
		Parent: h["Template"],
	}
	for slug := range strings.SplitSeq(h["Requires Plugins"], ",") {
		if slug = strings.TrimSpace(slug); slug != "" && !slices.Contains(x.Requires, slug) {
			x.Requires = append(x.Requires, slug)
		}
	}
	return x, true, nil
}

// components are plugins or themes as a manifest lists them, by slug. Of several
// plugins in one directory the first counts.
func components(list []Extension) []artifact.Component {
	var all []artifact.Component
	for i, x := range list {
		if i == 0 || x.Dir == "" || x.Dir != list[i-1].Dir {
			all = append(all, artifact.Component{Slug: printable.Clean(x.Slug), Name: x.Name, Version: x.Version})
		}
	}
	slices.SortStableFunc(all, func(a, b artifact.Component) int { return strings.Compare(a.Slug, b.Slug) })
	return all
}
