package wpconfig

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
)

// Read reads the configuration that starts in a file, for a WordPress in
// the directory core.
func Read(fsys fs.FS, name, core string) (*Config, error) {
	c := &Config{Path: name, core: core, first: map[string]int{}}
	r := &reader{fsys: fsys, config: c}
	if err := r.file(name, 0, ""); err != nil {
		return nil, err
	}
	for i := range c.Constants {
		k := &c.Constants[i]
		first, ok := c.first[k.Name]
		k.Dead = k.Dead || ok && first < i && c.Constants[first].If == ""
	}
	return c, nil
}

// reader follows a configuration from file to file.
type reader struct {
	fsys   fs.FS
	config *Config
}

// file reads one file, which is required on a condition.
func (r *reader) file(name string, depth int, condition string) error {
	if depth > maxConfigDepth || len(r.config.Files) >= maxConfigFiles || slices.Contains(r.config.Files, name) || !safefs.IsFile(r.fsys, name) {
		return nil
	}
	src, err := safefs.ReadFile(r.fsys, name, maxConfigSource)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	r.config.Files = append(r.config.Files, name)
	p := &parser{reader: r, lex: php.NewLexer(src), name: name, depth: depth}
	p.scope.expect(condition)
	p.scope.open(false)
	p.take()
	return p.run()
}
