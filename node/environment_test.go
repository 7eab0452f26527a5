package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/node/disk"
)

// parameters is a Parameter Store of fixed values.
type parameters map[string]string

func (p parameters) Get(context.Context, string) (map[string]string, error) {
	if p == nil {
		return nil, errors.New("AccessDeniedException")
	}
	return p, nil
}

func awkwardValues() map[string]string {
	return map[string]string{
		"PLAIN":   "value",
		"EMPTY":   "",
		"SPACES":  "  two  words  ",
		"QUOTES":  `it's "quoted" \ and \" more\`,
		"DOLLARS": "$HOME ${X} $(id) `id` $$",
		"SIGNS":   "#;&|<>*?[]~!=%",
		"LINES":   "one\ntwo\n\nfour",
		"UNICODE": "grüße \u2028",
		"TAB":     "a\tb\r",
	}
}

// A shell that reads the file gets exactly the values.
func TestEnvironmentInAShell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "environment")
	values := awkwardValues()
	if err := os.WriteFile(file, environment(values).bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		out, err := exec.Command("/bin/sh", "-c", `. "$0" && printf %s "$`+name+`"`, file).Output()
		if err != nil || string(out) != want {
			t.Errorf("%s is %q, want %q (%v)", name, out, want, err)
		}
	}
}

// So does systemd, whose rules for double quotes are repeated here: a
// backslash escapes the four signs and vanishes before a line end, and is
// itself before anything else.
func TestEnvironmentInSystemd(t *testing.T) {
	values := awkwardValues()
	got := map[string]string{}
	for rest := string(environment(values).bytes()); rest != ""; {
		name, after, _ := strings.Cut(rest, `="`)
		var value strings.Builder
		i := 0
		for ; after[i] != '"'; i++ {
			if after[i] == '\\' {
				i++
				if !strings.ContainsRune("\"\\`$", rune(after[i])) {
					value.WriteByte('\\')
				}
			}
			value.WriteByte(after[i])
		}
		got[name] = value.String()
		rest = strings.TrimPrefix(after[i:], "\"\n")
	}
	if diff := cmp.Diff(values, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadEnvironment(t *testing.T) {
	const path = "/shop/production/"
	got, err := readEnvironment(t.Context(), parameters{"DB_HOST": "a", path + "DB_NAME": "b", "/_X9": "c"}, path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(environment{"DB_HOST": "a", "DB_NAME": "b", "_X9": "c"}, got); diff != "" {
		t.Error(diff)
	}
	for name, p := range map[string]parameters{
		`"lower"`:              {"lower": "secretvalue"},
		`"A/B"`:                {"A/B": "secretvalue"},
		`"9A"`:                 {"9A": "secretvalue"},
		`"X;id"`:               {"X;id": "secretvalue"},
		"its value is not":     {"NUL": "secretvalue\x00"},
		"value is not text":    {"BYTES": "secretvalue\xff"},
		"there are none":       {},
		"AccessDeniedExceptio": nil,
	} {
		_, err := readEnvironment(t.Context(), p, path)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secretvalue") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRedactor(t *testing.T) {
	e := environment{
		"DB_NAME": "wordpress", "DB_PASSWORD": "hunter2", "AUTH_KEY": "hunter2-and-more", "WP_ENV": "production",
		"CACHE_URL": "redis://user:pw@cache.example.com", "SHORT_KEY": "abc", "EMPTY_KEY": "",
	}
	got := e.redactor().Replace("/srv/wordpress hunter2 hunter2-and-more production redis://user:pw@cache.example.com abc")
	if want := "/srv/wordpress [DB_PASSWORD] [AUTH_KEY] production [CACHE_URL] abc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run", "environment")
	for _, content := range []string{"old", "new"} {
		if err := disk.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	fi, err := os.Stat(file)
	if err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := os.Mkdir(file+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFile(file+".d", nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// The node reads back what it wrote.
func TestEnvironmentReadBack(t *testing.T) {
	values := environment(awkwardValues())
	if d := cmp.Diff(values, parseEnvironment(string(values.bytes()))); d != "" {
		t.Error(d)
	}
	for _, cut := range []string{`A="`, `A="x`, `A="x\`, `A`, `A="x"B="y"`} {
		parseEnvironment(cut) // whatever it holds, it ends
	}
}

// A release has a place of its own in the object cache only where that is asked
// for, and environments that share a cache stay apart.
func TestCacheSalt(t *testing.T) {
	for _, tt := range []struct {
		salt, parameter string
		want            func(f *fixture) string
	}{
		{"", "production:", func(*fixture) string { return "production:" }},
		{CacheSaltRelease, "production:", func(f *fixture) string { return "production:" + f.options.Manifest.Short() + ":" }},
		{CacheSaltRelease, "", func(f *fixture) string { return f.options.Manifest.Short() + ":" }},
	} {
		f := newFixture(t)
		f.options.Config.Environment.CacheSalt = tt.salt
		f.options.Parameters = parameters{"DB_PASSWORD": testSecret, "WP_CACHE_KEY_SALT": tt.parameter}
		f.boot()
		env, err := readEnvironmentFile(f.options.Config.Environment)
		if err != nil || env["WP_CACHE_KEY_SALT"] != tt.want(f) || env["DB_PASSWORD"] != testSecret {
			t.Errorf("%q over %q: %q, %v", tt.salt, tt.parameter, env["WP_CACHE_KEY_SALT"], err)
		}
	}
	c := defaults()
	c.Gate.URL, c.Environment.Path, c.Environment.CacheSalt = "http://127.0.0.1/", "/shop/", "node"
	if c.Validate() == nil {
		t.Error("a salt per node was taken")
	}
}
