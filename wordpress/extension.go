package wordpress

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

var (
	pluginHeaders = []string{"Plugin Name", "Version", "Requires PHP", "Requires at least", "Requires Plugins"}
	themeHeaders  = []string{"Theme Name", "Version", "Requires PHP", "Requires at least", "Template"}
)

// headReader is a tree of whose plugins and themes the headers are read. What an
// earlier check noted of a file's headers is taken from there.
type headReader struct {
	fs.FS
	then  *notes // nil knows nothing
	heads []head // that were found, in the order they were asked for
	dirs  []string
}

// head is a file's headers.
type head struct {
	file   string
	values map[string]string
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
	r.dirs = append(r.dirs, dir)
	return readDir(r, dir)
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
		if !isDir(r, p) {
			if x, ok, err := r.extension(dir, p, ".php", pluginHeaders); err != nil {
				return nil, err
			} else if ok {
				x.Slug = strings.TrimSuffix(e.Name(), ".php")
				list = append(list, x)
			}
			continue
		}
		inner, err := readDir(r, p)
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
	if !strings.HasSuffix(name, ext) || strings.HasPrefix(path.Base(name), ".") || !isFile(r, name) {
		return Extension{}, false, nil
	}
	h, noted := r.then.headOf(dir, name)
	if !noted {
		src, err := readFile(r, name, headerBytes)
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
	r.heads = append(r.heads, head{name, h})
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
			all = append(all, artifact.Component{Slug: clean(x.Slug), Name: x.Name, Version: x.Version})
		}
	}
	slices.SortStableFunc(all, func(a, b artifact.Component) int { return strings.Compare(a.Slug, b.Slug) })
	return all
}
