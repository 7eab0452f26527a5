package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/wordpress"
)

// needNext makes the later WordPress, where the machine has a mirror of Debian.
func needNext(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("../tree", "next").CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 && !slices.Contains(strings.Split(os.Getenv("WPBAKE_TEST_REQUIRE"), ","), "next") {
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Fatalf("making the later WordPress: %v\n%s", err, out)
	}
	return "../../.cache/wordpress/next"
}

// TestDoors goes from WordPress 6.1 to 6.8 and back on a real group.
func TestDoors(t *testing.T) {
	need(t, "php", "mariadb")
	next := needNext(t)
	stack := start(t, 2)
	if err := stack.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &doors{t: t, stack: stack, db: openStack(t, stack)}
	d.query("INSERT INTO wp_users (user_login, user_pass, user_email) VALUES ('ada', MD5('let me in'), 'ada@example.com'), ('bob', MD5('let me in'), 'bob@example.com'), ('eve', MD5('let me in'), 'eve@example.com')")
	d.run(0, "release", "v41")

	replaceTree(t, stack, next)
	_, stderr := d.run(4, "release", "v42")
	d.wants(stderr, "X05 theme: theme twentytwentythree is active in the database and not in the tree")
	theme := "wp-content/themes/twentytwentythree"
	if err := copyTree(filepath.Join("../../.cache/wordpress/tree", theme), filepath.Join(stack.Tree, theme)); err != nil {
		t.Fatal(err)
	}
	stdout, _ := d.run(0, "release", "v43")
	d.wants(stdout, "database: schema 53496 → 60421, by node i-")
	if got := d.schema(); got != "60421" {
		t.Errorf("the database has schema %s", got)
	}
	if status := d.get("/wp-admin/upgrade.php"); status != http.StatusForbidden {
		t.Errorf("upgrade.php answers %d", status)
	}

	for _, name := range []string{"ada", "bob"} {
		if !d.logsIn(name) {
			t.Errorf("%s cannot log in on 6.8", name)
		}
	}
	_, stderr = d.run(4, "rollback")
	d.wants(stderr, "X03 passwords: the password hash of 2 of 4 users changed", "S02 schema: the database has schema 60421", "--accept-doors")
	d.serves("v43")

	stdout, _ = d.run(0, "rollback", "--accept-doors")
	d.wants(stdout, "rollback of v41 to shop is done", "2 of 4 users")
	d.serves("v41")
	if got := d.schema(); got != "60421" {
		t.Errorf("the rollback left schema %s", got)
	}
	// What the refusal spoke of is so.
	if d.logsIn("ada") || !d.logsIn("eve") {
		t.Error("after the rollback ada should be locked out, eve not")
	}
	d.recorded()
}

// doors is a stack with a view of its database.
type doors struct {
	t     *testing.T
	stack *Stack
	db    *sql.DB
}

func openStack(t *testing.T, s *Stack) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", s.vars["DB_HOST"], s.vars["DB_USER"], s.vars["DB_PASSWORD"], s.vars["DB_NAME"]
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func (d *doors) query(query string) {
	d.t.Helper()
	if _, err := d.db.ExecContext(d.t.Context(), query); err != nil {
		d.t.Fatal(err)
	}
}

func (d *doors) schema() (n string) {
	d.t.Helper()
	if err := d.db.QueryRowContext(d.t.Context(), "SELECT option_value FROM wp_options WHERE option_name = 'db_version'").Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// run runs wpbake and wants its exit code.
func (d *doors) run(code int, args ...string) (stdout, stderr string) {
	d.t.Helper()
	cmd := d.stack.Wpbake(context.WithoutCancel(d.t.Context()), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		d.t.Fatalf("wpbake %q: %v, want exit code %d\n%s%s", args, err, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func (d *doors) wants(text string, parts ...string) {
	d.t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			d.t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

func (d *doors) serves(version string) {
	d.t.Helper()
	stdout, _ := d.run(0, "status")
	d.wants(stdout, "every node proven")
	if !strings.Contains(stdout, version+" ") {
		d.t.Errorf("the group does not serve %s:\n%s", version, stdout)
	}
}

func (d *doors) get(path string) int {
	d.t.Helper()
	resp, err := http.Get(d.stack.Site + path)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// logsIn tries a user's right password at the login form.
func (d *doors) logsIn(name string) bool {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := d.stack.Site + "/wp-login.php"
	resp, err := client.Get(form) // sets the cookie that the form wants back
	if err == nil {
		resp.Body.Close()
		resp, err = client.PostForm(form, url.Values{"log": {name}, "pwd": {"let me in"}, "testcookie": {"1"}})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusFound
}

// recorded wants the doors and a person's word in the rollback's record.
func (d *doors) recorded() {
	d.t.Helper()
	stdout, _ := d.run(0, "history", "--json")
	var history struct{ Runs []bake.Record }
	if err := json.Unmarshal([]byte(stdout), &history); err != nil {
		d.t.Fatal(err)
	}
	rec := history.Runs[0]
	at := slices.IndexFunc(rec.Doors, func(door wordpress.Door) bool { return door.Name == "passwords" })
	if rec.Kind != bake.Rollback || !rec.Accepted || at < 0 || rec.Doors[at].Count != 2 || rec.Schema != nil {
		d.t.Errorf("the record says %+v", rec)
	}
}

// replaceTree makes another WordPress the one that is released.
func replaceTree(t *testing.T, s *Stack, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(s.Tree), copyTree(from, s.Tree)); err != nil {
		t.Fatal(err)
	}
}
