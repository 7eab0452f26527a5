package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"

	"github.com/wpbake/wpbake/wordpress"
)

// upgradePages are pages of WordPress that change the database for whoever
// asks, without a login.
func upgradePages(core string) []string {
	admin := path.Join("/", core, "wp-admin")
	return []string{admin + "/upgrade.php", admin + "/install.php"}
}

// lookAtDatabase asks the site's database for the report. A database that is
// away, or that nothing here tells of, is no verdict on the release.
func (b *boot) lookAtDatabase(ctx context.Context) {
	s, err := openSite(SiteOptions{Config: b.Config}, currentLink)
	var other *wordpress.NotWordPress
	if errors.As(err, &other) {
		return
	}
	if err != nil {
		b.say("database not asked: %v", err)
		return
	}
	d, err := s.ask(ctx)
	if err != nil {
		b.say("%v", err)
		return
	}
	b.report.Database = &d
}

// guardUpgrade makes sure that nobody but wpbake brings the schema up. Where
// this release would do so, an open page is reason not to serve; else it is
// told, for old code would write an old number back.
func (b *boot) guardUpgrade(ctx context.Context) error {
	if b.report.Database == nil {
		return nil
	}
	s, err := openSite(SiteOptions{Config: b.Config}, currentLink)
	if err != nil {
		return err
	}
	m := s.manifest
	if m.WordPress == nil {
		return nil
	}
	core := s.config.Core
	if core == "web/wp" { // Bedrock's docroot is web
		core = "wp"
	}
	for _, page := range upgradePages(core) {
		err := b.browser.denied(ctx, page)
		if err == nil {
			continue
		}
		if b.report.Database.Schema < m.WordPress.DBVersion {
			return fmt.Errorf("%w: anybody could bring the database from schema %d to %d before the fleet is ready", err, b.report.Database.Schema, m.WordPress.DBVersion)
		}
		b.say("%v", err)
		b.report.Errors = append(b.report.Errors, b.line(err.Error()))
		b.warmed = len(b.report.Errors)
	}
	return nil
}

// denied asks for a page that the web server has to keep from everybody.
func (b browser) denied(ctx context.Context, target string) error {
	p, err := b.get(ctx, target)
	if err != nil {
		return err
	}
	if slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone}, p.status) {
		return nil
	}
	return &Open{Page: target, Status: p.status}
}

// Open says that the web server answers a page that it has to deny.
type Open struct {
	Page   string
	Status int
}

func (e *Open) Error() string {
	return fmt.Sprintf("the web server answers %s with status %d and has to deny it (docs/node.md)", e.Page, e.Status)
}
