// Package nodeconfig reads what nodes have in /etc: the configuration of PHP,
// php-fpm, nginx, systemd and wpbake itself.
//
// It refuses to judge it.
package nodeconfig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

// Config is how nodes are configured: what PHP and the web server read.
// Empty means that nobody said anything.
type Config struct {
	PHP        string      // version, such as 8.2
	Extensions []string    // that PHP loads
	INI        []Directive // of php.ini and its conf.d
	Pool       []Directive // of php-fpm
	Nginx      []Directive
	Units      []Directive // of systemd
	Boot       []Directive // of wpbake's node.yaml
}

// Directive is one setting and where it stands.
type Directive struct {
	Name  string
	Value string
	Path  string
	Line  int
}

// Limits of a directory of configuration.
const (
	maxNodeFiles = 2000
	maxNodeFile  = 1 << 20
)

var phpDir = regexp.MustCompile(`(?:^|/)php/(\d+\.\d+)/`)

// Read reads a directory that holds what nodes have in /etc: nginx,
// php, systemd and wpbake/node.yaml, wherever below it. Paths in findings
// begin with prefix. Nothing is run.
func Read(fsys fs.FS, prefix string) (*Config, error) {
	n := &Config{}
	files := 0
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if err != nil || d.IsDir() || !safefs.IsFile(fsys, p) {
			return nil
		}
		kind := nodeFile(p)
		if kind == "" || strings.Contains(p, "/cli/") || strings.Contains(p, "-available/") {
			return nil
		}
		if files++; files > maxNodeFiles {
			return fmt.Errorf("more than %d files of configuration", maxNodeFiles)
		}
		src, err := safefs.ReadFile(fsys, p, maxNodeFile)
		if err != nil {
			return err
		}
		n.read(kind, path.Join(prefix, p), src)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range n.INI {
		if d.Name == "extension" || d.Name == "zend_extension" {
			name := strings.TrimPrefix(strings.TrimSuffix(path.Base(d.Value), ".so"), "php_")
			n.Extensions = append(n.Extensions, name)
		}
	}
	return n, nil
}

// nodeFile says what reads a file of configuration.
func nodeFile(p string) string {
	name := path.Base(p)
	switch {
	case name == "node.yaml":
		return "boot"
	case strings.HasSuffix(name, ".ini"):
		return "ini"
	case strings.HasSuffix(name, ".service"), strings.HasSuffix(path.Dir(p), ".service.d"):
		return "unit"
	case strings.Contains(p, "fpm") && strings.HasSuffix(name, ".conf"):
		return "pool"
	case strings.Contains(p, "nginx") && (strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, "fastcgi") || strings.Contains(p, "sites-enabled/") || strings.Contains(p, "snippets/")):
		return "nginx"
	}
	return ""
}

func (n *Config) read(kind, p string, src []byte) {
	if m := phpDir.FindStringSubmatch(p); m != nil {
		n.PHP = m[1]
	}
	switch kind {
	case "ini":
		n.INI = append(n.INI, iniLines(p, src, "=", ";#")...)
	case "pool":
		n.Pool = append(n.Pool, iniLines(p, src, "=", ";#")...)
	case "unit":
		n.Units = append(n.Units, iniLines(p, src, "=", ";#")...)
	case "boot":
		n.Boot = append(n.Boot, iniLines(p, src, ":", "#")...)
	case "nginx":
		n.Nginx = append(n.Nginx, nginxLines(p, src)...)
	}
}

// iniLines reads "name = value" lines. A line that is indented under a name
// without a value, as YAML has it, is called "name.inner".
func iniLines(p string, src []byte, sign, comments string) []Directive {
	var list []Directive
	parent := ""
	s := bufio.NewScanner(bytes.NewReader(src))
	s.Buffer(nil, maxNodeFile)
	for line := 1; s.Scan(); line++ {
		text := s.Text()
		t := strings.TrimSpace(text)
		if t == "" || strings.ContainsRune(comments, rune(t[0])) || t[0] == '[' {
			continue
		}
		name, value, ok := strings.Cut(t, sign)
		if !ok {
			continue
		}
		name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"'`)
		switch indented := text[0] == ' ' || text[0] == '\t'; {
		case sign == ":" && indented && parent != "":
			name = parent + "." + name
		case sign == ":" && !indented:
			parent = name
		}
		list = append(list, Directive{name, value, p, line})
	}
	return list
}

// nginxLines reads "name value;" and "name value {" of nginx.
func nginxLines(p string, src []byte) []Directive {
	var list []Directive
	s := bufio.NewScanner(bytes.NewReader(src))
	s.Buffer(nil, maxNodeFile)
	for line := 1; s.Scan(); line++ {
		text, _, _ := strings.Cut(" "+s.Text(), " #")
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '{' && !strings.Contains(text, "~") || r == '}' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
			if name != "" {
				list = append(list, Directive{name, strings.Join(strings.Fields(strings.TrimSuffix(value, "{")), " "), p, line})
			}
		}
	}
	return list
}

// Last returns the last directive of a name: it is the one that counts.
func Last(list []Directive, name string) (Directive, bool) {
	for _, d := range slices.Backward(list) {
		if d.Name == name {
			return d, true
		}
	}
	return Directive{}, false
}

// PHPSetting returns a setting of PHP, as the pool or php.ini has it.
func (n *Config) PHPSetting(name string) (Directive, bool) {
	for _, form := range []string{"php_admin_value[", "php_value[", "php_admin_flag[", "php_flag["} {
		if d, ok := Last(n.Pool, form+name+"]"); ok {
			return d, true
		}
	}
	return Last(n.INI, name)
}

// builtIn are extensions that distributions compile into PHP.
func builtIn() []string {
	return []string{"json", "hash", "openssl", "pcre", "spl", "standard", "date", "zlib", "libxml", "session", "filter", "random"}
}

// Loads reports whether PHP loads an extension.
func (n *Config) Loads(name string) bool {
	return slices.Contains(builtIn(), name) || slices.Contains(n.Extensions, name)
}

// SharesSessions reports whether PHP keeps sessions where all nodes see them.
func (n *Config) SharesSessions() bool {
	d, ok := n.PHPSetting("session.save_handler")
	return ok && d.Value != "files" && d.Value != ""
}

// MapsProto reports whether nginx makes HTTPS of the load balancer's header.
func (n *Config) MapsProto() bool {
	return slices.ContainsFunc(n.Nginx, func(d Directive) bool {
		return d.Name == "fastcgi_param" && strings.HasPrefix(d.Value, "HTTPS ") && !strings.Contains(d.Value, "$https")
	})
}

// HasNginx reports whether nginx has a directive of a name whose value holds a
// text.
func (n *Config) HasNginx(name, part string) bool {
	return slices.ContainsFunc(n.Nginx, func(d Directive) bool { return d.Name == name && strings.Contains(d.Value, part) })
}

// InRoot reports whether a path is inside a document root of nginx.
func (n *Config) InRoot(p string) bool {
	return slices.ContainsFunc(n.Nginx, func(d Directive) bool {
		root := strings.TrimRight(d.Value, "/")
		return d.Name == "root" && len(root) > 1 && (p == root || strings.HasPrefix(p, root+"/"))
	})
}
