package wordpress

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/wpbake/wpbake/artifact"
)

// WordPress reads headers from the first 8 KiB of a file (get_file_data).
const headerBytes = 8 << 10

// A manifest takes no longer texts.
const maxText = 1000

// headers returns the values of named headers, as WordPress's own rule finds
// them: at the start of a line, after <?php or comment signs, in any case.
func headers(src []byte, names ...string) map[string]string {
	if len(src) > headerBytes {
		src = src[:headerBytes]
	}
	text := strings.ReplaceAll(string(src), "\r", "\n")
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, " \t")
		if len(line) >= 5 && strings.EqualFold(line[:5], "<?php") {
			line = line[5:]
		}
		line = strings.TrimLeft(line, " \t/*#@")
		for _, name := range names {
			value, ok := headerValue(line, name)
			if _, seen := values[name]; ok && !seen {
				values[name] = value
			}
		}
	}
	return values
}

// headerValue reads "Name: value", without what closes the comment.
func headerValue(line, name string) (string, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(line[:len(name)], name) {
		return "", false
	}
	value := line[len(name)+1:]
	for _, end := range []string{"*/", "?>"} {
		value, _, _ = strings.Cut(value, end)
	}
	return clean(value), true
}

// clean makes a text fit for a manifest: UTF-8, one line, of bounded length.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.TrimSpace(s)
}

// plugins lists plugins: a PHP file with a "Plugin Name" header, in the
// directory itself or one below. Of several in one directory the first counts.
func plugins(fsys fs.FS, dir string) ([]artifact.Component, error) {
	entries, err := readDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var found []artifact.Component
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !isDir(fsys, p) {
			c, ok, err := plugin(fsys, p)
			if err != nil {
				return nil, err
			}
			if ok {
				c.Slug = clean(strings.TrimSuffix(e.Name(), ".php"))
				found = append(found, c)
			}
			continue
		}
		c, ok, err := pluginIn(fsys, p)
		if err != nil {
			return nil, err
		}
		if ok {
			c.Slug = clean(e.Name())
			found = append(found, c)
		}
	}
	return bySlug(found), nil
}

func pluginIn(fsys fs.FS, dir string) (artifact.Component, bool, error) {
	entries, err := readDir(fsys, dir)
	if err != nil {
		return artifact.Component{}, false, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if c, ok, err := plugin(fsys, path.Join(dir, e.Name())); ok || err != nil {
			return c, ok, err
		}
	}
	return artifact.Component{}, false, nil
}

func plugin(fsys fs.FS, name string) (artifact.Component, bool, error) {
	if !strings.HasSuffix(name, ".php") {
		return artifact.Component{}, false, nil
	}
	return component(fsys, name, "Plugin Name")
}

// themes lists themes: directories whose style.css has a "Theme Name" header.
func themes(fsys fs.FS, dir string) ([]artifact.Component, error) {
	entries, err := readDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var found []artifact.Component
	for _, e := range entries {
		c, ok, err := component(fsys, path.Join(dir, e.Name(), "style.css"), "Theme Name")
		if err != nil {
			return nil, err
		}
		if ok {
			c.Slug = clean(e.Name())
			found = append(found, c)
		}
	}
	return bySlug(found), nil
}

func bySlug(list []artifact.Component) []artifact.Component {
	slices.SortStableFunc(list, func(a, b artifact.Component) int { return strings.Compare(a.Slug, b.Slug) })
	return list
}

// component reads name and version from a file's headers. A file without the
// title is none; neither is what is no file.
func component(fsys fs.FS, name, title string) (artifact.Component, bool, error) {
	if !isFile(fsys, name) {
		return artifact.Component{}, false, nil
	}
	src, err := readFile(fsys, name, headerBytes)
	if err != nil {
		return artifact.Component{}, false, fmt.Errorf("reading %q: %w", name, err)
	}
	h := headers(src, title, "Version")
	return artifact.Component{Name: h[title], Version: h["Version"]}, h[title] != "", nil
}
