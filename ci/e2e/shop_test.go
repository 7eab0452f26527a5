package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/go-sql-driver/mysql"
)

// shop is a stack with a view of its database, as one test drives it.
type shop struct {
	t     *testing.T
	stack *Stack
	db    *sql.DB
}

func newShop(t *testing.T, s *Stack) *shop {
	t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", s.vars["DB_HOST"], s.vars["DB_USER"], s.vars["DB_PASSWORD"], s.vars["DB_NAME"]
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return &shop{t, s, db}
}

// on is the shop as a test within the test drives it.
func (s *shop) on(t *testing.T) *shop { return &shop{t, s.stack, s.db} }

func (s *shop) query(query string, args ...any) {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}

// value is the one value that query asks for.
func (s *shop) value(query string) (v string) {
	s.t.Helper()
	if err := s.db.QueryRowContext(s.t.Context(), query).Scan(&v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

// ended is how a run of wpbake ended.
type ended struct {
	code           int
	stdout, stderr string
}

// wpbake runs wpbake to its end.
func (s *shop) wpbake(args ...string) ended {
	cmd := s.stack.Wpbake(context.WithoutCancel(s.t.Context()), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		return ended{-1, "", err.Error()}
	}
	return ended{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// run runs wpbake and wants its exit code.
func (s *shop) run(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	e := s.wpbake(args...)
	if e.code != code {
		s.t.Fatalf("wpbake %q: exit code %d, want %d\n%s%s", args, e.code, code, e.stdout, e.stderr)
	}
	return e.stdout, e.stderr
}

func (s *shop) wants(text string, parts ...string) {
	s.t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			s.t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

func (s *shop) serves(version string) {
	s.t.Helper()
	stdout, _ := s.run(0, "status")
	s.wants(stdout, "every node proven")
	if !strings.Contains(stdout, version+" ") {
		s.t.Errorf("the group does not serve %s:\n%s", version, stdout)
	}
}

// release is the short digest of what the group serves, as pages name it.
func (s *shop) release() string {
	s.t.Helper()
	stdout, _ := s.run(0, "status", "--json")
	var status struct {
		Manifest string `json:"manifest"`
	}
	if err := json.Unmarshal([]byte(stdout), &status); err != nil {
		s.t.Fatal(err)
	}
	digest := strings.TrimPrefix(status.Manifest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// get asks the load balancer.
func (s *shop) get(path string) (status int, body string) {
	s.t.Helper()
	return s.ask(s.stack.Site + path)
}

// ask asks for a page of the site wherever address leads, a node too.
func (s *shop) ask(address string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = strings.TrimPrefix(s.stack.Site, "http://")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// command runs a shell script on a node, as root where that is overlay, by Run
// Command, and returns what it printed.
func (s *shop) command(node, script string) string {
	s.t.Helper()
	client := ssm.NewFromConfig(s.stack.AWS())
	sent, err := client.SendCommand(s.t.Context(), &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"),
		InstanceIds: []string{node}, Parameters: map[string][]string{"commands": {script}}})
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := ssm.NewCommandExecutedWaiter(client, func(o *ssm.CommandExecutedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	}).WaitForOutput(s.t.Context(), &ssm.GetCommandInvocationInput{CommandId: sent.Command.CommandId, InstanceId: &node}, time.Minute)
	if err != nil || out.Status != ssmtypes.CommandInvocationStatusSuccess {
		s.t.Fatalf("a command on %s: %v, %+v", node, err, out)
	}
	return strings.TrimSpace(aws.ToString(out.StandardOutputContent))
}

// activate makes these plugins, and no others, the active ones.
func (s *shop) activate(plugins ...string) {
	s.t.Helper()
	s.query("UPDATE wp_options SET option_value = ? WHERE option_name = 'active_plugins'", phpList(plugins))
}

// phpList is how PHP serializes a list of plugins' main files.
func phpList(plugins []string) string {
	var list strings.Builder
	for i, name := range plugins {
		file := name + "/" + name + ".php"
		fmt.Fprintf(&list, `i:%d;s:%d:"%s";`, i, len(file), file)
	}
	return fmt.Sprintf("a:%d:{%s}", len(plugins), list.String())
}
