package node

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
	"github.com/wpbake/wpbake/wordpress"
)

// proof is what a node has to show before it may serve, and what is told of it
// on that occasion.
type proof struct {
	browser browser
	digest  artifact.Digest // of the release that has to serve
	config  Config
	disk    disk.Disk
	journal *journal
}

// pass is the stage that asks for the gate's page until it shows the release,
// then looks at what serves it.
func (p proof) pass(ctx context.Context) error {
	if err := p.browser.pass(ctx, p.digest); err != nil {
		return p.explain(ctx, err)
	}
	p.observeOpcache(ctx)
	p.observeDatabase(ctx)
	return p.guardUpgrade(ctx)
}

// explain adds PHP's own reason to the gate's objection, where PHP wrote one
// down.
func (p proof) explain(ctx context.Context, objection error) error {
	if ctx.Err() != nil {
		return objection
	}
	_, fatal := phpErrors(p.journal.logs.read())
	if fatal == "" {
		return objection
	}
	p.journal.say("gate: %s", p.journal.line(objection.Error()))
	return &phpFailure{fatal, objection}
}

// phpFailure is a gate's objection whose reason PHP wrote down.
type phpFailure struct {
	fatal     string
	objection error
}

func (e *phpFailure) Error() string { return e.fatal }

// Unwrap returns the gate's objection.
func (e *phpFailure) Unwrap() error { return e.objection }

// observeOpcache tells what PHP-FPM says of its cache. It is no verdict: a node
// with a bad cache serves, only slower.
func (p proof) observeOpcache(ctx context.Context) {
	if p.config.PHP.FPM == "" {
		return
	}
	o, err := askOpcache(ctx, p.config.PHP.FPM, p.disk.Root())
	if err != nil {
		p.journal.note("opcache could not be asked: %v", err)
		return
	}
	files, err := phpFiles(ctx, p.disk.Release(p.digest).Dir())
	if err != nil {
		p.journal.note("opcache: counting files of PHP: %v", err)
	}
	o.judge(files)
	for _, problem := range o.Problems {
		p.journal.say("%s", problem)
	}
	p.journal.report.Opcache = &o
}

// observeDatabase asks the site's database for the report. A database that is
// away, or that nothing here tells of, is no verdict on the release.
func (p proof) observeDatabase(ctx context.Context) {
	s, err := openSite(SiteOptions{Config: p.config}, disk.CurrentLink)
	var other *wordpress.NotWordPress
	if errors.As(err, &other) {
		return
	}
	if err != nil {
		p.journal.say("database not asked: %v", err)
		return
	}
	d, err := s.ask(ctx)
	var unverified *UnverifiedDatabase
	if errors.As(err, &unverified) { // not away: the node's own settings keep it so
		p.journal.note("%v; %s", err, unverified.Hint())
		return
	}
	if err != nil {
		p.journal.say("%v", err)
		return
	}
	p.journal.report.Database = &d
}

// upgradePages are pages of WordPress that change the database for whoever
// asks, without a login.
func upgradePages(core string) []string {
	admin := path.Join("/", core, "wp-admin")
	return []string{admin + "/upgrade.php", admin + "/install.php"}
}

// guardUpgrade makes sure that nobody but wpbake brings the schema up. Where
// this release would do so, an open page is reason not to serve; else it is
// told, for old code would write an old number back.
func (p proof) guardUpgrade(ctx context.Context) error {
	database := p.journal.report.Database
	if database == nil {
		return nil
	}
	s, err := openSite(SiteOptions{Config: p.config}, disk.CurrentLink)
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
		err := p.browser.denied(ctx, page)
		if err == nil {
			continue
		}
		if database.Schema < m.WordPress.DBVersion {
			return fmt.Errorf("%w: anybody could bring the database from schema %d to %d before the fleet is ready", err, database.Schema, m.WordPress.DBVersion)
		}
		p.journal.complain(err.Error())
	}
	return nil
}
