package wordpress

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Values that wp-config.php gives WordPress for its database.
const (
	dbHost    = "DB_HOST"
	dbName    = "DB_NAME"
	dbUser    = "DB_USER"
	dbPass    = "DB_PASSWORD"
	userTable = "CUSTOM_USER_TABLE"
)

// keyNames are WordPress's keys and salts, in its own order.
func keyNames() []string {
	return []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY",
		"AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	}
}

// DatabaseConfig is how a release reaches its database.
type DatabaseConfig struct {
	Core     string // the directory of WordPress itself in the tree
	Host     string // as WordPress takes it: host, host:port or host:/socket
	Name     string
	User     string
	Password string
	Prefix   string   // of tables
	Users    string   // the table of users
	Keys     []string // keys and salts, those that are known
	InTree   bool     // some of the keys stand in the tree itself
}

// No configuration file has more than some KiB.
const maxConfigFile = 1 << 20

var tablePrefix = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// NoDatabase says that a tree does not tell how to reach its database.
type NoDatabase struct{ Missing string }

func (e *NoDatabase) Error() string {
	return "the configuration tells no " + e.Missing
}

// Hint says what would.
func (e *NoDatabase) Hint() string {
	return "wp-config.php takes it by getenv from a variable that the node has, or the node has one of the same name"
}

// ReadDatabase finds out how the WordPress in a tree reaches its database. The
// configuration is read and never run: values are literals, or come by getenv
// and its like from the environment. A value that is computed otherwise is
// looked up in the environment by its own name.
func ReadDatabase(fsys fs.FS, env func(name string) (string, bool)) (DatabaseConfig, error) {
	core, layout, err := locate(fsys)
	if err != nil {
		return DatabaseConfig{}, err
	}
	values := map[string]constant{}
	prefix := ""
	for _, name := range configFiles(fsys, core, layout) {
		src, err := readFile(fsys, name, maxConfigFile)
		if err != nil {
			return DatabaseConfig{}, fmt.Errorf("reading %q: %w", name, err)
		}
		for k, v := range constants(src) {
			if _, first := values[k]; !first { // in PHP the first definition stays
				values[k] = v
			}
		}
		if p := parseVersion(src).text["table_prefix"]; p != "" {
			prefix = p
		}
	}
	c, err := assemble(values, prefix, env)
	c.Core = core
	return c, err
}

// configFiles are the files that may configure WordPress, in the order of its
// own search.
func configFiles(fsys fs.FS, core, layout string) []string {
	candidates := []string{path.Join(core, "wp-config.php"), path.Join(path.Dir(core), "wp-config.php")}
	if core == "." {
		candidates = candidates[:1]
	}
	if layout == Bedrock {
		candidates = []string{"config/application.php"}
	}
	for i, c := range candidates {
		if isFile(fsys, c) {
			return candidates[i : i+1]
		}
	}
	return nil
}

func assemble(values map[string]constant, prefix string, env func(string) (string, bool)) (DatabaseConfig, error) {
	look := func(name string) (string, bool) {
		c := values[name]
		for _, variable := range []string{c.variable, name} {
			if variable == "" {
				continue
			}
			if v, ok := env(variable); ok && v != "" && !c.plain {
				return v, true
			}
		}
		return c.text, c.text != ""
	}
	var c DatabaseConfig
	for name, into := range map[string]*string{dbHost: &c.Host, dbName: &c.Name, dbUser: &c.User} {
		v, ok := look(name)
		if !ok {
			return DatabaseConfig{}, &NoDatabase{Missing: name}
		}
		*into = v
	}
	c.Password, _ = look(dbPass)
	if c.Prefix = prefix; prefix == "" {
		c.Prefix, _ = look("DB_PREFIX")
	}
	if c.Prefix == "" {
		c.Prefix = "wp_"
	}
	if c.Users, _ = look(userTable); c.Users == "" {
		c.Users = c.Prefix + "users"
	}
	if !tablePrefix.MatchString(c.Prefix) || !tablePrefix.MatchString(c.Users) {
		return DatabaseConfig{}, errors.New("the configuration names tables that WordPress itself would refuse")
	}
	for _, name := range keyNames() {
		if v, ok := look(name); ok {
			c.Keys = append(c.Keys, v)
			c.InTree = c.InTree || values[name].plain
		}
	}
	return c, nil
}

// constant is what a file says a constant is.
type constant struct {
	text     string // a literal, or what stands behind ?: and ??
	plain    bool   // it is a literal and nothing else
	variable string // of the environment
}

// constants reads define( 'NAME', value ) and Bedrock's Config::define.
func constants(src []byte) map[string]constant {
	found := map[string]constant{}
	s := &scanner{rest: string(src)}
	for s.rest != "" {
		if s.comment() {
			continue
		}
		switch c := s.rest[0]; {
		case c == '\'' || c == '"':
			s.quoted()
		case c == '$':
			s.rest = s.rest[1:]
			s.identifier()
		case isPlain(c) || c == '_':
			if !strings.EqualFold(s.identifier(), "define") {
				continue
			}
			if name, value, ok := s.definition(); ok {
				if _, first := found[name]; !first {
					found[name] = value
				}
			}
		default:
			s.rest = s.rest[1:]
		}
	}
	return found
}

// definition reads what follows the word define.
func (s *scanner) definition() (name string, value constant, ok bool) {
	if s.blank(); !s.accept("(") {
		return "", value, false
	}
	if name, ok = s.literal(); !ok {
		return "", value, false
	}
	if s.blank(); !s.accept(",") {
		return "", value, false
	}
	if value.text, ok = s.literal(); ok {
		s.blank()
		value.plain = strings.HasPrefix(s.rest, ")")
		return name, value, value.plain
	}
	if value.variable, ok = s.fromEnvironment(); !ok {
		return name, constant{}, true
	}
	s.blank()
	if s.accept("?:") || s.accept("??") {
		value.text, _ = s.literal()
	}
	return name, value, true
}

// literal reads a quoted string that has no escapes.
func (s *scanner) literal() (string, bool) {
	s.blank()
	if s.rest == "" || s.rest[0] != '\'' && s.rest[0] != '"' {
		return "", false
	}
	return s.quoted()
}

// fromEnvironment reads getenv( 'X' ), env( 'X' ), $_ENV['X'] or $_SERVER['X']
// and returns X.
func (s *scanner) fromEnvironment() (string, bool) {
	s.blank()
	opening, closing := "(", ")"
	if s.accept("$") {
		if word := s.identifier(); word != "_ENV" && word != "_SERVER" {
			return "", false
		}
		opening, closing = "[", "]"
	} else if word := strings.TrimPrefix(s.identifier(), `\`); !strings.EqualFold(word, "getenv") && !strings.EqualFold(word, "env") && !strings.EqualFold(word, "getenv_docker") {
		return "", false
	}
	if s.blank(); !s.accept(opening) {
		return "", false
	}
	name, ok := s.literal()
	s.blank()
	return name, ok && (s.accept(closing) || s.fallback(closing))
}

// fallback skips a second argument, as in getenv( 'X', true ).
func (s *scanner) fallback(closing string) bool {
	if !s.accept(",") {
		return false
	}
	_, rest, ok := strings.Cut(s.rest, closing)
	s.rest = rest
	return ok
}
