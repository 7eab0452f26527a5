package database

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// Values that wp-config.php gives WordPress for its database.
const (
	dbHost    = "DB_HOST"
	dbName    = "DB_NAME"
	dbUser    = "DB_USER"
	dbPass    = "DB_PASSWORD"
	userTable = "CUSTOM_USER_TABLE"
)

// Config is how a release reaches its database.
type Config struct {
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

var tablePrefix = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// NotConfigured says that a tree does not tell how to reach its database.
type NotConfigured struct{ Missing string }

func (e *NotConfigured) Error() string {
	return "the configuration tells no " + e.Missing
}

// Hint says what would.
func (e *NotConfigured) Hint() string {
	return "wp-config.php takes it by getenv from a variable that the node has, or the node has one of the same name"
}

// ReadConfig finds out how the WordPress in a tree reaches its database. The
// configuration is read and never run: values are literals, or come by getenv
// and its like from the environment. A value that is computed otherwise is
// looked up in the environment by its own name.
func ReadConfig(fsys fs.FS, env func(name string) (string, bool)) (Config, error) {
	core, layout, err := wordpress.Locate(fsys)
	if err != nil {
		return Config{}, err
	}
	name, ok := configFile(fsys, core, layout)
	config := &wpconfig.Config{}
	if ok {
		if config, err = wpconfig.Read(fsys, name, core); err != nil {
			return Config{}, fmt.Errorf("reading %q: %w", name, err)
		}
	}
	c, err := assemble(config, env)
	c.Core = core
	return c, err
}

// configFile is the file that configures WordPress, in the order of its own
// search.
func configFile(fsys fs.FS, core, layout string) (string, bool) {
	candidates := []string{path.Join(core, "wp-config.php"), path.Join(path.Dir(core), "wp-config.php")}
	if core == "." {
		candidates = candidates[:1]
	}
	if layout == wordpress.Bedrock {
		candidates = []string{"config/application.php"}
	}
	for _, c := range candidates {
		if safefs.IsFile(fsys, c) {
			return c, true
		}
	}
	return "", false
}

func assemble(config *wpconfig.Config, env func(string) (string, bool)) (Config, error) {
	lookUp := func(name string) (string, bool) { return config.Defined(name).Resolve(name, env) }
	var c Config
	for name, value := range map[string]*string{dbHost: &c.Host, dbName: &c.Name, dbUser: &c.User} {
		v, ok := lookUp(name)
		if !ok {
			return Config{}, &NotConfigured{Missing: name}
		}
		*value = v
	}
	c.Password, _ = lookUp(dbPass)
	prefix, _ := config.Variable("table_prefix")
	c.Prefix, _ = prefix.Resolve("DB_PREFIX", env)
	if c.Prefix == "" {
		c.Prefix = "wp_"
	}
	if c.Users, _ = lookUp(userTable); c.Users == "" {
		c.Users = c.Prefix + "users"
	}
	if !tablePrefix.MatchString(c.Prefix) || !tablePrefix.MatchString(c.Users) {
		return Config{}, errors.New("the configuration names tables that WordPress itself would refuse")
	}
	for _, name := range wpconfig.KeyNames() {
		if v, ok := lookUp(name); ok {
			c.Keys = append(c.Keys, v)
			c.InTree = c.InTree || config.Defined(name).Value.Literal()
		}
	}
	return c, nil
}
