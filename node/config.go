package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/wpbake/wpbake/internal/spelling"
)

// Config is how one kind of node boots: /etc/wpbake/node.yaml, written by the
// image or the group's owner. It says nothing of releases.
type Config struct {
	Root           string        `yaml:"root"`            // holds releases/ and current
	Environment    Environment   `yaml:"environment"`     // optional
	Hooks          [][]string    `yaml:"hooks"`           // argv lists, run in order before services
	Services       [][]string    `yaml:"services"`        // argv lists that start or reload services, in order
	Warm           []string      `yaml:"warm"`            // paths asked for before the gate
	Gate           Gate          `yaml:"gate"`            // the verdict
	Database       Database      `yaml:"database"`        // how connections to the database are kept from others
	PHP            PHP           `yaml:"php"`             // that serves, and by which a schema step runs
	Logs           []string      `yaml:"logs"`            // files whose ends go into the report
	Timeout        time.Duration `yaml:"timeout"`         // for the whole boot
	CommandTimeout time.Duration `yaml:"command_timeout"` // for each hook and service command
	Keep           int           `yaml:"keep"`            // releases left on disk, the booted one among them
	As             string        `yaml:"as"`              // AsAuto, AsImage or AsDirectory, which empty is too
}

// Environment makes parameters into a file of KEY=value lines.
type Environment struct {
	Path      string `yaml:"path"` // in Parameter Store; empty means no environment
	File      string `yaml:"file"`
	CacheSalt string `yaml:"cache_salt"` // CacheSaltRelease, or empty: WP_CACHE_KEY_SALT stays as the parameters have it
}

// CacheSaltRelease gives each release a place of its own in the object cache.
const CacheSaltRelease = "release"

// Gate is the page that proves the release.
type Gate struct {
	URL     string            `yaml:"url"`
	Host    string            `yaml:"host"`    // Host header; empty means the URL's
	Headers map[string]string `yaml:"headers"` // such as X-Forwarded-Proto: https
	Status  int               `yaml:"status"`
	Body    string            `yaml:"body"` // marker; empty accepts any body that is not empty
	Timeout time.Duration     `yaml:"timeout"`
}

// defaults is what a file that says nothing gets.
func defaults() Config {
	return Config{
		Root:           "/srv/wordpress",
		Environment:    Environment{File: "/run/wpbake/environment"},
		Warm:           warmPages(),
		Gate:           Gate{Status: 200, Timeout: time.Minute},
		Timeout:        15 * time.Minute,
		CommandTimeout: 2 * time.Minute,
		Keep:           3,
		As:             AsAuto,
	}
}

// warmPages go through most of WordPress and of its theme, whatever the site
// holds and however its permalinks look: the front page, the login, a feed, a
// search and the REST API.
func warmPages() []string {
	return []string{"/", "/wp-login.php", "/?feed=rss2", "/?s=wpbake", "/?rest_route=/wp/v2/posts"}
}

// ParseConfig reads the YAML of a node's configuration, fills in defaults and
// validates. An unknown key is an error that names its line and the nearest
// key there is.
func ParseConfig(b []byte) (Config, error) {
	c := defaults()
	err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&c)
	if err != nil && !errors.Is(err, io.EOF) {
		return Config{}, configError(err)
	}
	if reflect.ValueOf(c).IsZero() { // an empty document clears what it is decoded into
		c = defaults()
	}
	return c, c.Validate()
}

// configKeys are the keys of every level of Config.
func configKeys() []string {
	return []string{
		"root", "environment", "path", "file", "hooks", "services", "warm", "gate", "url", "host", "headers",
		"status", "body", "timeout", "logs", "command_timeout", "keep", "as", "php", "command", "user", "fpm", "cache_salt", "database", "ca", "plain",
	}
}

// configError puts the line first and guesses what an unknown key meant. The
// YAML package's own text draws the file over several lines.
func configError(err error) error {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return fmt.Errorf("parsing node config: %w", err)
	}
	text := located.GetMessage()
	if key, ok := strings.CutPrefix(text, "unknown field "); ok {
		text = "unknown key " + key
		if near := spelling.Nearest(strings.Trim(key, `"`), configKeys()); near != "" {
			text += fmt.Sprintf(", nearest is %q", near)
		}
	}
	return fmt.Errorf("parsing node config: line %d: %s", located.GetToken().Position.Line, text)
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	for name, p := range map[string]string{"root": c.Root, "environment.file": c.Environment.File} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("node config: %s %q: want an absolute path", name, p)
		}
	}
	if ca := c.Database.CA; ca != "" && !filepath.IsAbs(ca) {
		return fmt.Errorf("node config: database.ca %q: want an absolute path", ca)
	}
	if c.Database.CA != "" && c.Database.Plain {
		return errors.New("node config: database.ca has no use with database.plain")
	}
	if s := c.Environment.CacheSalt; s != "" && s != CacheSaltRelease {
		return fmt.Errorf("node config: environment.cache_salt %q: want %q or nothing", s, CacheSaltRelease)
	}
	if c.Environment.CacheSalt != "" && c.Environment.Path == "" {
		return errors.New("node config: environment.cache_salt needs environment.path")
	}
	for _, p := range c.Logs {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("node config: logs %q: want absolute paths", p)
		}
	}
	for name, list := range map[string][][]string{"hooks": c.Hooks, "services": c.Services} {
		for _, argv := range list {
			if len(argv) == 0 || argv[0] == "" {
				return fmt.Errorf("node config: %s: a command without a program", name)
			}
		}
	}
	for _, p := range c.Warm {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("node config: warm %q: want paths that begin with /", p)
		}
	}
	if len(c.PHP.Command) > 0 && c.PHP.Command[0] == "" {
		return errors.New("node config: php.command: a command without a program")
	}
	if c.PHP.FPM != "" {
		if _, _, err := fpmAddress(c.PHP.FPM); err != nil {
			return fmt.Errorf("node config: php.fpm %q: %w", c.PHP.FPM, err)
		}
	}
	if c.Timeout <= 0 || c.CommandTimeout <= 0 || c.Gate.Timeout <= 0 || c.PHP.Timeout < 0 {
		return errors.New("node config: timeouts must be positive")
	}
	if c.Keep < 1 {
		return fmt.Errorf("node config: keep %d: at least the booted release stays", c.Keep)
	}
	if c.As != "" && c.As != AsAuto && c.As != AsDirectory && c.As != AsImage {
		return fmt.Errorf("node config: as %q: want %s, %s or %s", c.As, AsAuto, AsDirectory, AsImage)
	}
	return c.Gate.validate()
}

func (g Gate) validate() error {
	u, err := url.Parse(g.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("node config: gate.url %q: want the URL of a page on this node", g.URL)
	}
	if g.Status < 100 || g.Status > 599 {
		return fmt.Errorf("node config: gate.status %d: want an HTTP status", g.Status)
	}
	return nil
}

// Rebase moves a node below prefix, for instances that share their host's file
// system: root, environment file and logs get the prefix; so does a command
// whose program exists there, while /bin/sh stays the host's. Nothing is
// mounted then unless the file demands it: it would stay after the node.
func (c Config) Rebase(prefix string) Config {
	if prefix == "" {
		return c
	}
	c.Root = filepath.Join(prefix, c.Root)
	if c.As == AsAuto {
		c.As = AsDirectory
	}
	c.Environment.File = filepath.Join(prefix, c.Environment.File)
	if socket, ok := strings.CutPrefix(c.PHP.FPM, "unix:"); ok {
		c.PHP.FPM = "unix:" + filepath.Join(prefix, socket)
	}
	if moved := filepath.Join(prefix, c.Database.CA); c.Database.CA != "" && exists(moved) {
		c.Database.CA = moved
	}
	c.Hooks = rebaseCommands(prefix, c.Hooks)
	c.Services = rebaseCommands(prefix, c.Services)
	logs := make([]string, len(c.Logs))
	for i, l := range c.Logs {
		logs[i] = filepath.Join(prefix, l)
	}
	c.Logs = logs
	return c
}

func rebaseCommands(prefix string, commands [][]string) [][]string {
	out := make([][]string, len(commands))
	for i, argv := range commands {
		out[i] = argv
		if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
			continue
		}
		moved := filepath.Join(prefix, argv[0])
		if exists(moved) {
			out[i] = append([]string{moved}, argv[1:]...)
		}
	}
	return out
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
