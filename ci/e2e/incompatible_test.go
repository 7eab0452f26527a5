package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/rollout"
	wpdatabase "github.com/wpbake/wpbake/wordpress/database"
)

// needNext makes the later WordPress, where the machine has a mirror of Debian.
func needNext(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("../tree", "next").CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		tier.Need(t, "next", false)
	}
	if err != nil {
		t.Fatalf("making the later WordPress: %v\n%s", err, out)
	}
	return "../../.cache/wordpress/next"
}

// testNewerWordPress goes from WordPress 6.1 to 6.8 and back.
func (f *fleet) testNewerWordPress(t *testing.T) {
	next := needNext(t)
	d, stack := &databaseMove{f.on(t)}, f.stack
	d.activate() // the newer tree has none of the shop's plugins
	d.query("INSERT INTO wp_users (user_login, user_pass, user_email) VALUES ('ada', MD5('let me in'), 'ada@example.com'), ('bob', MD5('let me in'), 'bob@example.com'), ('eve', MD5('let me in'), 'eve@example.com')")
	d.run(0, "release", "v41")

	replaceTree(t, stack, next)
	_, stderr := d.run(4, "release", "v42")
	d.wants(stderr, "X05 theme: theme twentytwentythree is active in the database and not in the tree")
	theme := "wp-content/themes/twentytwentythree"
	if err := copyTree(filepath.Join("../../.cache/wordpress/tree", theme), filepath.Join(string(stack.Tree), theme)); err != nil {
		t.Fatal(err)
	}
	stdout, _ := d.run(0, "release", "v43")
	d.wants(stdout, "database: schema 53496 → 60421, by node i-")
	if got := d.schema(); got != "60421" {
		t.Errorf("the database has schema %s", got)
	}
	if status, _ := d.get("/wp-admin/upgrade.php"); status != http.StatusForbidden {
		t.Errorf("upgrade.php answers %d", status)
	}

	for _, name := range []string{"ada", "bob"} {
		if !d.logsIn(name) {
			t.Errorf("%s cannot log in on 6.8", name)
		}
	}
	_, stderr = d.run(4, "rollback")
	d.wants(stderr, "X03 passwords: the password hash of 2 of 4 users changed", "S02 schema: the database has schema 60421", "--accept-incompatible")
	d.serves("v43")

	stdout, _ = d.run(0, "rollback", "--accept-incompatible")
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

// databaseMove asks what stands between the releases of a shop.
type databaseMove struct{ *shop }

func (d *databaseMove) schema() string {
	return d.value("SELECT option_value FROM wp_options WHERE option_name = 'db_version'")
}

// logsIn tries a user's right password at the login form.
func (d *databaseMove) logsIn(name string) bool {
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

// recorded wants the incompatibilities and a person's word in the rollback's record.
func (d *databaseMove) recorded() {
	d.t.Helper()
	stdout, _ := d.run(0, "history", "--json")
	var history struct{ Runs []rollout.Record }
	if err := json.Unmarshal([]byte(stdout), &history); err != nil {
		d.t.Fatal(err)
	}
	rec := history.Runs[0]
	at := slices.IndexFunc(rec.Incompatibilities, func(i wpdatabase.Incompatibility) bool { return i.Name == "passwords" })
	if rec.Kind != rollout.Rollback || !rec.Accepted || at < 0 || rec.Incompatibilities[at].Count != 2 || rec.Schema != nil {
		d.t.Errorf("the record says %+v", rec)
	}
}

// replaceTree makes another WordPress the one that is released.
func replaceTree(t *testing.T, s *Stack, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(string(s.Tree)), copyTree(from, string(s.Tree))); err != nil {
		t.Fatal(err)
	}
}
