package node

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
)

// wordPress builds, publishes and pins a version that looks like a WordPress
// with its database.
func (f *fixture) wordPress(v artifact.Version, schema int) {
	f.t.Helper()
	tree := filepath.Join(f.t.TempDir(), "tree")
	for name, content := range map[string]string{
		"index.php": "<?php // " + string(v), "wp-login.php": "<?php", "wp-load.php": "<?php", "wp-settings.php": "<?php", "wp-blog-header.php": "<?php",
		"wp-includes/version.php": "<?php", "wp-admin/index.php": "<?php", "wp-content/page.html": "<link href='/wp-content/style.css'>",
		"wp-config.php": "<?php define( 'DB_HOST', 'localhost' ); define( 'DB_NAME', 'n' ); define( 'DB_USER', 'u' );",
	} {
		file := filepath.Join(tree, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			f.t.Fatal(err)
		}
	}
	built, err := build.Build(f.t.Context(), build.Options{Tree: tree, Out: f.t.TempDir(), Version: v,
		Described: build.Description{WordPress: &artifact.WordPress{Core: "6.8.12", DBVersion: schema, Layout: wordpress.Classic}}})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := build.Publish(f.t.Context(), f.store, built.Dir, nil); err != nil {
		f.t.Fatal(err)
	}
	f.options.Version, f.options.Manifest = v, built.Digest
}

// A page that would bring the schema up for anybody stops a node of newer code,
// and is told of on any other.
func TestUpgradePage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		have   int // schema of the database
		status int // of the page
		fails  bool
		told   int
	}{
		{"newer code, open page", 60420, http.StatusOK, true, 0},
		{"newer code, page that redirects", 60420, http.StatusFound, true, 0},
		{"newer code, denied page", 60420, http.StatusForbidden, false, 0},
		{"newer code, no such page", 60420, http.StatusNotFound, false, 0},
		{"equal, open page", 60421, http.StatusOK, false, 2},
		{"older code, open page", 60422, http.StatusOK, false, 2},
		{"older code, denied page", 60422, http.StatusForbidden, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.wordPress("v43", 60421)
			f.page = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/upgrade.php") || strings.HasSuffix(r.URL.Path, "/install.php") {
					w.WriteHeader(tt.status)
					return
				}
				f.serveTree(w, r)
			}
			f.boot() // without a database to ask, nothing is said
			j := newJournal(f.options)
			j.report.Database = &database.State{Schema: tt.have}
			p := proof{browser: newBrowser(f.options.Config.Gate), config: f.options.Config, disk: f.disk(), journal: j}
			err := p.guardUpgrade(t.Context())
			var open *Open
			if got := errors.As(err, &open); got != tt.fails || len(j.report.Errors) != tt.told || err != nil && !got {
				t.Errorf("got %v, told %q", err, j.report.Errors)
			}
		})
	}
}
