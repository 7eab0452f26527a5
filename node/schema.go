package node

import (
	"bytes"
	"cmp"
	"context"
	_ "embed" // the step itself
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
	"github.com/wpbake/wpbake/wordpress/database"
)

//go:embed schema.php
var schemaPHP []byte

// lockTimeout is how long a schema step waits for one that is under way.
const lockTimeout = 10 * time.Minute

// PHP is the interpreter that a schema step is run by, and the PHP-FPM that
// serves. The zero value is php on the PATH, for at most an hour.
type PHP struct {
	Command []string      `yaml:"command"` // of the version that serves
	User    string        `yaml:"user"`    // whom it runs as when wpbake is root; empty means www-data
	Timeout time.Duration `yaml:"timeout"` // for one site's step
	FPM     string        `yaml:"fpm"`     // where PHP-FPM listens, as nginx's fastcgi_pass; empty is not asked about opcache
}

func (p PHP) orDefault() PHP {
	if len(p.Command) == 0 {
		p.Command = []string{"php"}
	}
	if p.Timeout == 0 {
		p.Timeout = time.Hour
	}
	return p
}

// SchemaOptions say which release brings the schema up.
type SchemaOptions struct {
	SiteOptions
	Manifest artifact.Digest // the release that serves here must have it
}

// Schema is what a schema step did.
type Schema struct {
	Before  int     `json:"before"`
	After   int     `json:"after"`
	Ran     bool    `json:"ran"`             // false: it was there already
	Sites   int     `json:"sites,omitempty"` // of a network, besides the main site
	Seconds float64 `json:"seconds"`
}

// SchemaDown refuses to take a schema down: WordPress would write the old
// number over the new one and call that a success.
type SchemaDown struct{ Have, Code int }

func (e *SchemaDown) Error() string {
	return fmt.Sprintf("the database has schema %d, this release is for %d: a schema only goes up", e.Have, e.Code)
}

// Hint says what can be done.
func (e *SchemaDown) Hint() string { return "release a WordPress of the newer schema" }

// UpgradeSchema brings the database up to the release that serves here, if it
// is behind, and does nothing otherwise: the same call again is harmless. The
// step is WordPress's own, run by PHP under a lock of the database server, so
// that of several at once only one runs. When ctx ends the step goes on
// without its caller, who finds it done or under way when asking again.
func UpgradeSchema(ctx context.Context, o SchemaOptions) (Schema, error) {
	begun := time.Now()
	s, err := openSite(o.SiteOptions, disk.CurrentLink)
	if err != nil {
		return Schema{}, err
	}
	w, err := s.release(o.Manifest)
	if err != nil {
		return Schema{}, err
	}
	d, sites, err := s.survey(ctx)
	if err != nil {
		return Schema{}, err
	}
	done := Schema{Before: d.Schema, After: d.Schema}
	if d.Schema > w.DBVersion {
		return done, &SchemaDown{Have: d.Schema, Code: w.DBVersion}
	}
	for i, one := range sites {
		if one.schema >= w.DBVersion {
			continue
		}
		ran, err := s.upgrade(ctx, o, one, w.DBVersion)
		if err != nil {
			return done, err
		}
		done.Ran = done.Ran || ran
		if i > 0 {
			done.Sites++
		}
	}
	if d, err = s.ask(ctx); err != nil {
		return done, err
	}
	done.After, done.Seconds = d.Schema, time.Since(begun).Seconds()
	if d.Schema != w.DBVersion || d.Behind > 0 {
		return done, fmt.Errorf("the schema step ended, but the database has schema %d with %d sites behind, want %d", d.Schema, d.Behind, w.DBVersion)
	}
	return done, nil
}

// release returns what the release that serves here is as WordPress.
func (s *site) release(want artifact.Digest) (artifact.WordPress, error) {
	m := s.manifest
	if got := m.Digest(); want != "" && got != want {
		return artifact.WordPress{}, fmt.Errorf("this node serves %s, not %s", got.Short(), want.Short())
	}
	if m.WordPress == nil {
		return artifact.WordPress{}, errors.New("the release that serves here is not known as WordPress")
	}
	return *m.WordPress, nil
}

// survey asks the database and lists its sites, the main one first.
func (s *site) survey(ctx context.Context) (database.State, []networkSite, error) {
	d, err := s.ask(ctx)
	if err != nil || !d.Multisite {
		return d, []networkSite{{schema: d.Schema, path: "/"}}, err
	}
	db, err := s.open()
	if err != nil {
		return d, nil, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return d, nil, reaching(err)
	}
	defer tx.Rollback()
	sites, err := questions{tx, s.config}.sites(ctx)
	return d, sites, err
}

// schemaAnswer is the last line of schema.php.
type schemaAnswer struct {
	Before int  `json:"before"`
	After  int  `json:"after"`
	Code   int  `json:"code"`
	Ran    bool `json:"ran"`
	Held   bool `json:"held"`
}

// upgrade runs one site's step.
func (s *site) upgrade(ctx context.Context, o SchemaOptions, one networkSite, code int) (ran bool, err error) {
	a, err := s.runPHP(ctx, o, one)
	switch {
	case err != nil:
		return false, fmt.Errorf("bringing the schema up: %w", err)
	case a.Code != code:
		return a.Ran, fmt.Errorf("bringing the schema up: the code that ran is for schema %d, the manifest says %d", a.Code, code)
	case a.Ran && !a.Held:
		return true, errors.New("bringing the schema up: the database server dropped the lock while the step ran")
	case a.After != code:
		return a.Ran, fmt.Errorf("bringing the schema up: it is %d afterwards, want %d", a.After, code)
	}
	return a.Ran, nil
}

// runPHP starts PHP in a session of its own, with files for its output: it
// goes on when this process is killed.
func (s *site) runPHP(ctx context.Context, o SchemaOptions, one networkSite) (schemaAnswer, error) {
	host, err := siteHost(o.Config.Gate, one)
	if err != nil {
		return schemaAnswer{}, err
	}
	out, err := os.CreateTemp("", "wpbake-schema-")
	if err != nil {
		return schemaAnswer{}, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	p := o.Config.PHP.orDefault()
	argv := append(append([]string{}, p.Command[1:]...), "-d", "display_errors=stderr", "-d", "log_errors=0", "--",
		filepath.Join(s.tree, s.config.Core), host, one.path, strconv.Itoa(int(lockTimeout/time.Second)))
	cmd := exec.Command(p.Command[0], argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(schemaPHP), out, out
	cmd.Env = s.environ()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.SysProcAttr.Credential, err = credential(p.User); err != nil {
		return schemaAnswer{}, err
	}
	if err := cmd.Start(); err != nil {
		return schemaAnswer{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.NewTimer(p.Timeout)
	defer limit.Stop()
	select {
	case err = <-ended:
	case <-ctx.Done():
		return schemaAnswer{}, fmt.Errorf("%w; the step goes on", ctx.Err())
	case <-limit.C:
		return schemaAnswer{}, fmt.Errorf("no end after %v; the step goes on", p.Timeout)
	}
	return readAnswer(out, err, s.env.redactor())
}

// readAnswer finds the answer in what PHP printed, or makes its last lines the
// cause.
func readAnswer(out *os.File, ended error, secrets *strings.Replacer) (schemaAnswer, error) {
	info, err := out.Stat()
	if err != nil {
		return schemaAnswer{}, err
	}
	text, err := io.ReadAll(io.NewSectionReader(out, max(0, info.Size()-outputBytes), outputBytes))
	if err != nil {
		return schemaAnswer{}, err
	}
	var a schemaAnswer
	if _, line, ok := strings.Cut(string(text), "\nwpbake:"); ok && ended == nil {
		if err := json.Unmarshal([]byte(strings.TrimSpace(line)), &a); err != nil {
			return schemaAnswer{}, fmt.Errorf("reading what PHP answered: %w", err)
		}
		return a, nil
	}
	lines := cleanLines(secrets.Replace(string(text)))
	said := strings.Join(lines[max(0, len(lines)-outputLines):], " | ")
	return schemaAnswer{}, fmt.Errorf("running PHP: %v: %s", cmp.Or(ended, errors.New("it did not come to its end")), cmp.Or(said, "it said nothing"))
}

// siteHost is the name under which a site is asked for.
func siteHost(g Gate, one networkSite) (string, error) {
	if one.domain != "" {
		return one.domain, nil
	}
	if g.Host != "" {
		return g.Host, nil
	}
	u, err := url.Parse(g.URL)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// environ is what PHP gets: the node's environment and nothing of wpbake's own.
func (s *site) environ() []string {
	list := []string{"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/bin:/bin"), "HOME=/nonexistent", "LANG=C.UTF-8"}
	for _, name := range s.env.names() {
		list = append(list, name+"="+s.env[name])
	}
	return list
}

// The user that web servers of Debian and its kin run PHP as.
const webUser = "www-data"

// credential is whom PHP runs as: never root unless that was asked for by name.
func credential(name string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(cmp.Or(name, webUser))
	if err != nil {
		return nil, fmt.Errorf("choosing whom PHP runs as: %w; php.user in node.yaml names another", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
