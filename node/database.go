package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
	"github.com/wpbake/wpbake/wordpress/database"
)

const (
	dialTimeout = 5 * time.Second
	askTimeout  = 30 * time.Second // for all questions together; counting users reads their whole table
	localSock   = "/run/mysqld/mysqld.sock"
)

// SiteOptions say which node's site is meant.
type SiteOptions struct {
	Config Config
	Env    func(name string) (string, bool) // the process's own, asked after the node's environment file; nil knows nothing
}

// AskDatabase asks the database of the release that this node serves, in one
// read-only transaction, and runs nothing of the site's.
func AskDatabase(ctx context.Context, o SiteOptions) (database.State, error) {
	s, err := openSite(o, disk.CurrentLink)
	if err != nil {
		return database.State{}, err
	}
	return s.ask(ctx)
}

// site is a release on this node with the way to its database.
type site struct {
	manifest artifact.Manifest
	tree     string // the WordPress tree, in a directory or a mounted image
	config   database.Config
	security Database
	env      environment
}

// openSite reads the configuration of the release in dir, below the root.
func openSite(o SiteOptions, dir string) (*site, error) {
	base, err := filepath.EvalSymlinks(filepath.Join(o.Config.Root, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this node serves no release yet")
	}
	if err != nil {
		return nil, err
	}
	m, err := disk.At(o.Config.Root).Named(filepath.Base(base)).Manifest()
	if err != nil {
		return nil, err
	}
	env, err := readEnvironmentFile(o.Config.Environment)
	if err != nil {
		return nil, err
	}
	s := &site{manifest: m, tree: filepath.Join(base, m.Tree.Prefix), security: o.Config.Database, env: env}
	s.config, err = database.ReadConfig(os.DirFS(s.tree), func(name string) (string, bool) {
		if v, ok := env[name]; ok || o.Env == nil {
			return v, ok
		}
		return o.Env(name)
	})
	return s, err
}

// open prepares connections to the database. Nothing is sent yet.
func (s *site) open() (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = s.config.User, s.config.Password, s.config.Name
	c.Net, c.Addr = databaseAddress(s.config.Host)
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTimeout, askTimeout, dialTimeout
	c.Logger = &mysql.NopLogger{}
	var err error
	if c.TLS, err = s.security.tls(c.Net, c.Addr); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// databaseAddress understands DB_HOST as WordPress does: host, host:port,
// host:/socket, [address]:port, or localhost for PHP's own socket.
func databaseAddress(host string) (network, address string) {
	if name, socket, ok := strings.Cut(host, ":/"); ok && !strings.Contains(name, "/") {
		return "unix", "/" + socket
	}
	if strings.HasPrefix(host, "/") {
		return "unix", host
	}
	if host == "localhost" {
		if _, err := os.Stat(localSock); err == nil {
			return "unix", localSock
		}
	}
	bare := strings.Trim(host, "[]")
	if strings.Count(bare, ":") > 1 && !strings.Contains(host, "]:") { // an IPv6 address without a port
		return "tcp", "[" + bare + "]:3306"
	}
	if _, _, ok := strings.Cut(strings.TrimPrefix(host, "["), ":"); ok && strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return "tcp", host
	}
	return "tcp", host + ":3306"
}

// ask asks everything in one read-only transaction.
func (s *site) ask(ctx context.Context) (database.State, error) {
	db, err := s.open()
	if err != nil {
		return database.State{}, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return database.State{}, reaching(err)
	}
	defer tx.Rollback()
	q := questions{tx, s.config}
	d, err := q.all(ctx)
	if err != nil {
		return d, fmt.Errorf("asking the database: %w", err)
	}
	d.At = time.Now().UTC().Truncate(time.Second)
	d.KeysInTree = s.config.InTree
	if s.config.InTree {
		d.Keys = s.fingerprint()
	}
	return d, nil
}

// fingerprint tells keys and salts apart without giving them away.
func (s *site) fingerprint() string {
	mac := hmac.New(sha256.New, []byte("wpbake keys and salts"))
	mac.Write([]byte(strings.Join(s.config.Keys, "\x00")))
	return hex.EncodeToString(mac.Sum(nil)[:6])
}

// questions are asked inside one transaction.
type questions struct {
	tx     *sql.Tx
	config database.Config
}

func (q questions) table(name string) string { return "`" + q.config.Prefix + name + "`" }

func (q questions) all(ctx context.Context) (database.State, error) {
	d := database.State{Versions: map[string]string{}}
	options, err := q.options(ctx, append([]string{"db_version", "active_plugins", "template", "stylesheet"}, database.VersionOptions()...))
	if err != nil {
		return d, err
	}
	if d.Schema, err = strconv.Atoi(options["db_version"]); err != nil {
		return d, errors.New("it holds no WordPress: option db_version is no number")
	}
	d.Template, d.Stylesheet = options["template"], options["stylesheet"]
	for _, name := range database.VersionOptions() {
		if options[name] != "" {
			d.Versions[name] = options[name]
		}
	}
	active, ok := database.ActivePlugins(options["active_plugins"])
	if !ok && options["active_plugins"] != "" {
		return d, errors.New("option active_plugins cannot be read")
	}
	d.Active = append([]string{}, active...)
	users := "`" + q.config.Users + "`"
	row := q.tx.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(user_pass LIKE '$wp$%'), 0) FROM "+users)
	if err := row.Scan(&d.Users, &d.NewHashes); err != nil {
		return d, err
	}
	return d, q.network(ctx, &d)
}

// options reads options of the site by name. Those it does not have are absent.
func (q questions) options(ctx context.Context, names []string) (map[string]string, error) {
	args := make([]any, len(names))
	for i, n := range names {
		args[i] = n
	}
	rows, err := q.tx.QueryContext(ctx, "SELECT option_name, option_value FROM "+q.table("options")+
		" WHERE option_name IN (?"+strings.Repeat(",?", len(names)-1)+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		found[name] = value
	}
	return found, rows.Err()
}

// network adds what a multisite has beyond its main site.
func (q questions) network(ctx context.Context, d *database.State) error {
	sites, err := q.sites(ctx)
	if err != nil || len(sites) == 0 {
		return err
	}
	d.Multisite = true
	var sitewide string
	err = q.tx.QueryRowContext(ctx, "SELECT meta_value FROM "+q.table("sitemeta")+" WHERE meta_key = 'active_sitewide_plugins' LIMIT 1").Scan(&sitewide)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	plugins, _ := database.NetworkPlugins(sitewide)
	d.Active = append(d.Active, plugins...)
	for _, s := range sites {
		if s.schema < d.Schema {
			d.Behind++
		}
	}
	return nil
}

// networkSite is one site of a multisite.
type networkSite struct {
	id           int64
	domain, path string
	schema       int
}

// sites lists the live sites of a network, the main site first; none when
// there is no network.
func (q questions) sites(ctx context.Context) ([]networkSite, error) {
	var tables int
	err := q.tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?, ?)",
		q.config.Prefix+"blogs", q.config.Prefix+"sitemeta").Scan(&tables)
	if err != nil || tables < 2 {
		return nil, err
	}
	rows, err := q.tx.QueryContext(ctx, "SELECT blog_id, domain, path FROM "+q.table("blogs")+
		" WHERE archived = '0' AND spam = 0 AND deleted = 0 ORDER BY blog_id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []networkSite
	for rows.Next() {
		var s networkSite
		if err := rows.Scan(&s.id, &s.domain, &s.path); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range all {
		prefix := q.config.Prefix
		if all[i].id > 1 {
			prefix += strconv.FormatInt(all[i].id, 10) + "_"
		}
		err := q.tx.QueryRowContext(ctx, "SELECT option_value FROM `"+prefix+"options` WHERE option_name = 'db_version'").Scan(&all[i].schema)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return all, nil
}
