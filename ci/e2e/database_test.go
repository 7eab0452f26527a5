package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/wordpress"
	wpdatabase "github.com/wpbake/wpbake/wordpress/database"
)

// The schema of Debian's WordPress 6.1.9, which ci/tree makes.
const treeSchema = 53496

// database is a real WordPress in a real MariaDB, and a node that serves it.
type database struct {
	t       *testing.T
	dir     string
	tree    string
	vars    settings
	options node.SiteOptions
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	need(t, "php", "mariadb")
	if out, err := exec.Command("../tree").CombinedOutput(); err != nil {
		t.Fatalf("making the WordPress tree: %v\n%s", err, out)
	}
	// PHP runs as somebody else where this test runs as root.
	dir, err := os.MkdirTemp("", "wpbake-database-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &database{t: t, dir: dir, tree: filepath.Join(dir, "tree")}
	if err := copyTree("../../.cache/wordpress/tree", d.tree); err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	d.vars = newSettings("http://127.0.0.1:8080", "127.0.0.1:"+port)
	server, err := startDatabase(t.Context(), dir, d.vars)
	if server != nil {
		t.Cleanup(server.stop)
	}
	if err == nil {
		err = install(t.Context(), dir, d.tree, d.vars)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.options = node.SiteOptions{Config: node.Config{
		Root:        filepath.Join(dir, "srv"),
		Environment: node.Environment{Path: "/shop/", File: filepath.Join(dir, "environment")},
		Gate:        node.Gate{URL: "http://127.0.0.1:8080/"},
		PHP:         node.PHP{Timeout: time.Minute},
	}}
	d.environment(d.options.Config.Environment.File, d.vars)
	return d
}

// environment writes what a boot would have.
func (d *database) environment(file string, vars settings) {
	d.t.Helper()
	var text strings.Builder
	for k, v := range vars {
		fmt.Fprintf(&text, "%s=%q\n", k, v)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// serve builds the tree as it is and puts it where a node serves from.
func (d *database) serve(v artifact.Version) artifact.Digest {
	d.t.Helper()
	w, err := wordpress.Inspect(os.DirFS(d.tree))
	if err != nil {
		d.t.Fatal(err)
	}
	store, err := dirstore.New(filepath.Join(d.dir, "store"))
	if err != nil {
		d.t.Fatal(err)
	}
	built, err := build.Build(d.t.Context(), build.Options{Tree: d.tree, Out: d.t.TempDir(), Version: v,
		Described: build.Description{WordPress: &w}})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := build.Publish(d.t.Context(), store, built.Dir, nil); err != nil {
		d.t.Fatal(err)
	}
	dest := filepath.Join(d.options.Config.Root, "releases", built.Digest.Short())
	current := filepath.Join(d.options.Config.Root, "current")
	err = os.MkdirAll(filepath.Dir(dest), 0o755)
	if err == nil {
		_, err = fetch.Release(d.t.Context(), store, fetch.Options{Version: v, Digest: built.Digest, Dest: dest})
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(current), os.Symlink(dest, current))
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return built.Digest
}

// raise makes the WordPress of the tree one for a newer schema: its own
// upgrade then runs for real.
func (d *database) raise(from, to int) {
	d.t.Helper()
	name := filepath.Join(d.tree, "wp-includes", "version.php")
	src, err := os.ReadFile(name)
	if err != nil {
		d.t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(src), fmt.Sprintf("$wp_db_version = %d;", from))
	if !ok {
		d.t.Fatalf("the tree is not for schema %d", from)
	}
	if err := os.WriteFile(name, fmt.Appendf(nil, "%s$wp_db_version = %d;%s", before, to, after), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) ask() wpdatabase.State {
	d.t.Helper()
	got, err := node.AskDatabase(d.t.Context(), d.options)
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

// open is a connection beside the node's.
func (d *database) open() *sql.DB {
	d.t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", d.vars["DB_HOST"], d.vars["DB_USER"], d.vars["DB_PASSWORD"], d.vars["DB_NAME"]
	connector, err := mysql.NewConnector(c)
	if err != nil {
		d.t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	d.t.Cleanup(func() { db.Close() })
	return db
}

func (d *database) exec(query string, args ...any) {
	d.t.Helper()
	if _, err := d.open().ExecContext(d.t.Context(), query, args...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) upgrade(digest artifact.Digest) (node.Schema, error) {
	return node.UpgradeSchema(d.t.Context(), node.SchemaOptions{SiteOptions: d.options, Manifest: digest})
}

// TestDatabase has one database for all that needs one, because it is dear.
func TestDatabase(t *testing.T) {
	tier.Test(t)
	t.Parallel()
	d := newDatabase(t)
	if _, err := node.AskDatabase(t.Context(), d.options); err == nil || !strings.Contains(err.Error(), "serves no release yet") {
		t.Fatalf("a node without a release answered %v", err)
	}
	v1 := d.serve("v1")
	t.Run("ask", func(t *testing.T) { d.testAsk(t) })
	t.Run("nothing to do", func(t *testing.T) {
		got, err := d.upgrade(v1)
		if err != nil || got.Ran || got.After != treeSchema {
			t.Errorf("%+v, %v", got, err)
		}
	})
	d.raise(treeSchema, treeSchema+1)
	v2 := d.serve("v2")
	t.Run("the wrong release", func(t *testing.T) {
		if got, err := d.upgrade(v1); err == nil || d.ask().Schema != treeSchema {
			t.Errorf("%+v", got)
		}
	})
	t.Run("several at once", func(t *testing.T) { d.testAtOnce(t, v2) })
	t.Run("killed in the middle", func(t *testing.T) { d.testKilled(t) })
	t.Run("caller gone in the middle", func(t *testing.T) { d.testLeft(t) })
	v2 = d.serve("v5")
	t.Run("network", func(t *testing.T) { v2 = d.testNetwork(t) })
	t.Run("only upwards", func(t *testing.T) {
		d.exec("UPDATE wp_options SET option_value = ? WHERE option_name = 'db_version'", treeSchema+9)
		_, err := d.upgrade(v2)
		if down := (*node.SchemaDown)(nil); !errors.As(err, &down) || d.ask().Schema != treeSchema+9 {
			t.Errorf("%v, schema %d", err, d.ask().Schema)
		}
	})
}

func (d *database) testAsk(t *testing.T) {
	got := d.ask()
	if time.Since(got.At) > time.Minute {
		t.Errorf("asked at %v", got.At)
	}
	got.At = time.Time{}
	want := wpdatabase.State{Schema: treeSchema, Users: 1, Active: []string{"winter-sale/winter-sale.php"},
		Template: "twentytwentythree", Stylesheet: "twentytwentythree", Versions: map[string]string{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d.exec("INSERT INTO wp_users (user_login, user_pass) VALUES ('new', '$wp$2y$10$abc'), ('old', '$P$Babc')")
	d.exec("INSERT INTO wp_options (option_name, option_value) VALUES ('woocommerce_db_version', '9.9.0')")
	got = d.ask()
	if got.Users != 3 || got.NewHashes != 1 || got.Versions["woocommerce_db_version"] != "9.9.0" {
		t.Errorf("%+v", got)
	}
	wrong := d.options
	wrong.Config.Environment.File = filepath.Join(d.dir, "wrong")
	vars := maps.Clone(d.vars)
	vars["DB_PASSWORD"] = "a wrong secret"
	d.environment(wrong.Config.Environment.File, vars)
	if _, err := node.AskDatabase(t.Context(), wrong); err == nil || strings.Contains(err.Error(), "a wrong secret") {
		t.Errorf("with a wrong password: %v", err)
	}
}

// testAtOnce wants one of several steps to run, and the others to find it done.
func (d *database) testAtOnce(t *testing.T, digest artifact.Digest) {
	var wg sync.WaitGroup
	results := make([]node.Schema, 4)
	errs := make([]error, 4)
	for i := range results {
		wg.Go(func() { results[i], errs[i] = d.upgrade(digest) })
	}
	wg.Wait()
	ran := 0
	for i, r := range results {
		if errs[i] != nil || r.After != treeSchema+1 {
			t.Errorf("%+v, %v", r, errs[i])
		}
		if r.Ran {
			ran++
		}
	}
	if ran != 1 {
		t.Errorf("the step ran %d times", ran)
	}
}

// hold adds a plugin to the tree that stops a schema step in its middle for as
// long as a file is there, and returns how to wait for that and how to let go.
func (d *database) hold() (await func() (pid int), release func()) {
	d.t.Helper()
	dir := filepath.Join(d.dir, "hold")
	wait, entered := filepath.Join(dir, "wait"), filepath.Join(dir, "entered")
	plugin := "<?php add_filter( 'dbdelta_create_queries', function ( $q ) {\n" +
		"if ( file_exists( '" + wait + "' ) ) { file_put_contents( '" + entered + ".new', getmypid() ); rename( '" + entered + ".new', '" + entered + "' ); }\n" +
		"while ( file_exists( '" + wait + "' ) ) { usleep( 10000 ); clearstatcache(); }\nreturn $q; } );\n"
	err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777), os.WriteFile(wait, nil, 0o644),
		os.WriteFile(filepath.Join(d.tree, "wp-content/mu-plugins/hold.php"), []byte(plugin), 0o644))
	if err != nil {
		d.t.Fatal(err)
	}
	await = func() int {
		d.t.Helper()
		for ctx, tick := d.t.Context(), time.NewTicker(10*time.Millisecond); ; {
			if text, err := os.ReadFile(entered); err == nil {
				pid, err := strconv.Atoi(string(text))
				if err != nil {
					d.t.Fatal(err)
				}
				return pid
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				d.t.Fatal("the step was never in its middle")
			}
		}
	}
	return await, func() {
		if err := os.Remove(wait); err != nil {
			d.t.Error(err)
		}
	}
}

// testKilled kills a step in its middle while another one waits for it.
func (d *database) testKilled(t *testing.T) {
	await, release := d.hold()
	d.raise(treeSchema+1, treeSchema+2)
	digest := d.serve("v3")
	type result struct {
		node.Schema
		err error
	}
	first, second := make(chan result, 1), make(chan result, 1)
	go func() {
		s, err := d.upgrade(digest)
		first <- result{s, err}
	}()
	pid := await()
	go func() {
		s, err := d.upgrade(digest)
		second <- result{s, err}
	}()
	d.awaitQuery(t, "GET_LOCK")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	release()
	if r := <-first; r.err == nil || !strings.Contains(r.err.Error(), "signal: killed") {
		t.Errorf("the killed step answered %+v, %v", r.Schema, r.err)
	}
	if r := <-second; r.err != nil || !r.Ran || r.After != treeSchema+2 {
		t.Errorf("the step after it answered %+v, %v", r.Schema, r.err)
	}
}

// testLeft leaves a step in its middle: it goes on, and who comes next waits
// for it and has nothing to do.
func (d *database) testLeft(t *testing.T) {
	await, release := d.hold()
	d.raise(treeSchema+2, treeSchema+3)
	digest := d.serve("v4")
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := node.UpgradeSchema(ctx, node.SchemaOptions{SiteOptions: d.options, Manifest: digest})
		left <- err
	}()
	await()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "goes on") {
		t.Errorf("the caller that left got %v", err)
	}
	next := make(chan error, 1)
	var got node.Schema
	go func() {
		var err error
		got, err = d.upgrade(digest)
		next <- err
	}()
	d.awaitQuery(t, "GET_LOCK")
	release()
	if err := <-next; err != nil || got.Ran || got.After != treeSchema+3 {
		t.Errorf("the next caller got %+v, %v", got, err)
	}
}

// awaitQuery waits until somebody's query waits in the server.
func (d *database) awaitQuery(t *testing.T, what string) {
	t.Helper()
	db := d.open()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		var n int
		err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE ?", "%"+what+"%").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("nobody asked %s", what)
		}
	}
}

// testNetwork makes the site a network of two and brings both up.
func (d *database) testNetwork(t *testing.T) artifact.Digest {
	php := func(what string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "php", "files/network.php", d.tree, what)
		cmd.Env = append(os.Environ(), d.vars.environ()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
	}
	config := filepath.Join(d.tree, "wp-config.php")
	src, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	php("make")
	d.exec("UPDATE wp_site SET domain = '127.0.0.1'")
	constants := "define( 'MULTISITE', true );\ndefine( 'SUBDOMAIN_INSTALL', false );\ndefine( 'DOMAIN_CURRENT_SITE', '127.0.0.1' );\n" +
		"define( 'PATH_CURRENT_SITE', '/' );\ndefine( 'SITE_ID_CURRENT_SITE', 1 );\ndefine( 'BLOG_ID_CURRENT_SITE', 1 );\n\n$table_prefix"
	if err := os.WriteFile(config, []byte(strings.Replace(string(src), "$table_prefix", constants, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	php("site")
	d.exec("UPDATE wp_sitemeta SET meta_value = 'a:1:{s:13:\"cart/cart.php\";i:1700000000;}' WHERE meta_key = 'active_sitewide_plugins'")
	d.raise(treeSchema+3, treeSchema+4)
	digest := d.serve("v6")
	before := d.ask()
	if !before.Multisite || before.Behind != 0 || !slices.Contains(before.Active, "cart/cart.php") {
		t.Errorf("before: %+v", before)
	}
	d.exec("UPDATE wp_2_options SET option_value = ? WHERE option_name = 'db_version'", treeSchema)
	if got := d.ask(); got.Behind != 1 {
		t.Errorf("a site that is behind: %+v", got)
	}
	done, err := d.upgrade(digest)
	if err != nil || !done.Ran || done.Sites != 1 || done.After != treeSchema+4 {
		t.Errorf("%+v, %v", done, err)
	}
	var second int
	if err := d.open().QueryRowContext(t.Context(), "SELECT option_value FROM wp_2_options WHERE option_name = 'db_version'").Scan(&second); err != nil || second != treeSchema+4 {
		t.Errorf("the second site has schema %d, %v", second, err)
	}
	if done, err = d.upgrade(digest); err != nil || done.Ran {
		t.Errorf("again: %+v, %v", done, err)
	}
	return digest
}
