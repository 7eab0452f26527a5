package wordpress_test

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/wordpress"
)

func TestParseChecksums(t *testing.T) {
	for doc, want := range map[string]string{
		`{"checksums": {"wp-load.php": "aa"}}`:                       "aa",
		`{"checksums": {"7.0.3": {"wp-load.php": "bb"}, "6.8": {}}}`: "bb",
		`{"checksums": {"6.8": {"wp-load.php": "cc"}}}`:              "error",
		`{"checksums": false}`:                                       "error",
		`{"checksums": {}}`:                                          "error",
		`not JSON`:                                                   "error",
		`{"checksums": "` + strings.Repeat("x", 9<<20) + `"}`:        "error",
	} {
		sums, err := wordpress.ParseChecksums(strings.NewReader(doc), "7.0.3")
		got := sums["wp-load.php"]
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%.60s: %q (%v), want %q", doc, got, err, want)
		}
	}
}

func TestCompareUpstream(t *testing.T) {
	tree := site("wp", map[string]string{
		"wp/wp-login.php": "patched", "wp/wp-admin/evil.php": "x", "wp/wp-shell.php": "x", "wp/readme.html": "x", "wp/wp-config.php": "x",
		"wp/wp-content/plugins/a.php": "x", "index.php": "x",
	})
	sum := func(s string) string {
		m := md5.Sum([]byte(s))
		return strings.ToUpper(hex.EncodeToString(m[:]))
	}
	got, err := wordpress.CompareUpstream(tree, map[string]string{
		"wp-load.php": sum(""), "wp-settings.php": sum(""), "wp-blog-header.php": sum(""), "wp-admin/index.php": sum(""),
		"wp-includes/version.php": sum(version), "wp-login.php": sum(""), "wp-mail.php": sum(""), "wp-content/index.php": sum("other"), "../up": sum(""),
	})
	want := wordpress.Upstream{Differ: []string{"wp-login.php"}, Missing: []string{"wp-mail.php"}, Extra: []string{"wp-admin/evil.php", "wp-shell.php"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}
