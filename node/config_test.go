package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fullConfig = `root: /srv/wordpress
environment:
  path: /shop/production/
  file: /run/wpbake/environment
hooks: [["/etc/wpbake/hooks/before-services"]]
services: [["systemctl", "reload-or-restart", "php8.2-fpm"], ["systemctl", "reload-or-restart", "nginx"]]
warm: ["/", "/wp-login.php"]
gate:
  url: http://127.0.0.1:8080/
  host: www.example.com
  headers: {X-Forwarded-Proto: https}
  status: 200
  body: 'wp-content'
  timeout: 60s
logs: [/var/log/php8.2-fpm.log, /var/log/nginx/error.log]
`

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig([]byte(fullConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Root:        "/srv/wordpress",
		Environment: Environment{Path: "/shop/production/", File: "/run/wpbake/environment"},
		Hooks:       [][]string{{"/etc/wpbake/hooks/before-services"}},
		Services:    [][]string{{"systemctl", "reload-or-restart", "php8.2-fpm"}, {"systemctl", "reload-or-restart", "nginx"}},
		Warm:        []string{"/", "/wp-login.php"},
		Gate: Gate{
			URL: "http://127.0.0.1:8080/", Host: "www.example.com", Headers: map[string]string{"X-Forwarded-Proto": "https"},
			Status: 200, Body: "wp-content", Timeout: time.Minute,
		},
		Logs:           []string{"/var/log/php8.2-fpm.log", "/var/log/nginx/error.log"},
		Timeout:        15 * time.Minute,
		CommandTimeout: 2 * time.Minute,
		Keep:           3,
		As:             AsAuto,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigDefaults(t *testing.T) {
	got, err := ParseConfig([]byte("gate: {url: 'http://127.0.0.1/'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Gate.URL = "http://127.0.0.1/"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	const gate = "gate:\n  url: http://127.0.0.1/\n"
	for name, c := range map[string]struct{ yaml, want string }{
		"empty":            {"", `gate.url ""`},
		"only a comment":   {"# later\n", `gate.url ""`},
		"null":             {"null\n", "line 1: "},
		"misspelt":         {gate + "servises: [[\"true\"]]\n", `line 3: unknown key "servises", nearest is "services"`},
		"misspelt inside":  {gate + "  stats: 200\n", `line 3: unknown key "stats", nearest is "status"`},
		"nothing near":     {gate + "zzzzzz: 1\n", `line 3: unknown key "zzzzzz"`},
		"twice":            {gate + "root: /a\nroot: /b\n", "line 4: "},
		"wrong type":       {gate + "keep: many\n", "line 3: "},
		"no YAML":          {"a: [", "line 1: "},
		"relative root":    {gate + "root: srv\n", `root "srv"`},
		"relative log":     {gate + "logs: [error.log]\n", `logs "error.log"`},
		"relative file":    {gate + "environment: {file: e}\n", `environment.file "e"`},
		"no program":       {gate + "hooks: [[]]\n", "hooks: a command without a program"},
		"warm":             {gate + "warm: [feed]\n", `warm "feed"`},
		"other scheme":     {"gate: {url: 'ftp://127.0.0.1/'}\n", "gate.url"},
		"status":           {gate + "  status: 20\n", "gate.status 20"},
		"relative ca":      {gate + "database: {ca: rds.pem}\n", `database.ca "rds.pem"`},
		"ca and plain":     {gate + "database: {ca: /rds.pem, plain: true}\n", "database.plain"},
		"keep":             {gate + "keep: 0\n", "keep 0"},
		"as":               {gate + "as: squashfs\n", `as "squashfs": want auto, dir or erofs`},
		"negative timeout": {gate + "timeout: -1s\n", "timeouts must be positive"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseConfig([]byte(c.yaml))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want it to contain %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// Every key of the file is one that a misspelt key can be near to.
func TestNearestKnowsEveryKey(t *testing.T) {
	known := map[string]bool{}
	for _, k := range configKeys() {
		known[k] = true
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if key := f.Tag.Get("yaml"); !known[key] {
				t.Errorf("key %q is not known", key)
			}
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

func TestRebase(t *testing.T) {
	prefix := t.TempDir()
	hook := filepath.Join(prefix, "etc/wpbake/hooks/before-services")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig([]byte(fullConfig))
	if err != nil {
		t.Fatal(err)
	}
	c.Hooks = append(c.Hooks, []string{"/bin/sh", "-c", "/etc/x"})

	got := c.Rebase(prefix)
	if got.Root != prefix+"/srv/wordpress" || got.Environment.File != prefix+"/run/wpbake/environment" {
		t.Errorf("root %q, file %q", got.Root, got.Environment.File)
	}
	if diff := cmp.Diff([][]string{{hook}, {"/bin/sh", "-c", "/etc/x"}}, got.Hooks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(c.Services, got.Services); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{prefix + "/var/log/php8.2-fpm.log", prefix + "/var/log/nginx/error.log"}, got.Logs); diff != "" {
		t.Error(diff)
	}
	if c.Root != "/srv/wordpress" || c.Logs[0] != "/var/log/php8.2-fpm.log" {
		t.Error("rebasing changed the original")
	}
	if diff := cmp.Diff(c, c.Rebase("")); diff != "" {
		t.Error(diff)
	}
}
