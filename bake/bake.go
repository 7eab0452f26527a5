package bake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// Options say what is baked. Tree and Version are required.
type Options struct {
	Tree     string // a directory, an archive or git:PATH@REV
	Version  artifact.Version
	Exclude  []string // what a release leaves out, beside what none holds
	Cache    string   // directory to remember builds in; empty remembers nothing
	Check    Settings
	Waivers  []rules.Waiver
	Carry    *Carry   // the release whose assets stay; nil carries nothing over
	Observer Observer // nil tells nobody
}

// An Observer hears how a build goes. It decides nothing.
type Observer interface {
	// Carried tells what stays of the release before; it may be nothing.
	Carried(wordpress.Carried)
	// Checked tells what a check found, also of a tree that it blocks.
	Checked(Report)
	// Progress tells how far the artifact is.
	Progress(artifact.Progress)
}

// Build makes the artifact of a tree below a directory: releases/VERSION/, as in
// a store. The same tree gives the same bytes on every machine. Repairs and
// carried assets are laid over the tree, which is never written to.
//
// Errors are *Blocked, *SettingError, *tree.Refused, *tree.Unsteady or those of
// sources, stores and file systems.
func Build(ctx context.Context, o Options, out string) (build.Built, error) {
	return o.bake(ctx, out, build.Folder(out))
}

// Publish makes the artifact of a tree as Build does and puts it into a store
// while it is made.
func Publish(ctx context.Context, o Options, store artifact.ReleaseStore) (build.Built, error) {
	return o.bake(ctx, "", build.Shelf(store))
}

// bake opens the tree and goes down the line until the tree held still once.
func (o Options) bake(ctx context.Context, out string, to build.Sink) (made build.Built, err error) {
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	src, err := open(ctx, o.Tree)
	if err != nil {
		return build.Built{}, err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	builder, err := build.Open(build.Options{
		Tree: src.dir, Out: out, Version: o.Version, Exclude: o.excludes(),
		Cache: o.Cache, CacheName: src.cacheName(), Progress: o.Observer.Progress,
	})
	if err != nil {
		return build.Built{}, err
	}
	defer builder.Close()
	l := &line{Options: o, src: src, builder: builder, sink: to}
	var changed *tree.Change
	for range tree.MaxReads {
		if made, changed, err = l.once(ctx); err != nil || changed == nil {
			return made, err
		}
	}
	return build.Built{}, &tree.Unsteady{Path: changed.Path, Reason: changed.Reason, Reads: tree.MaxReads}
}

// excludes are the patterns of what a release leaves out.
func (o Options) excludes() []string {
	return slices.Concat(tree.DefaultExcludes(), rules.NeverShipped(), o.Exclude)
}

// line is the way of one tree to its artifact.
type line struct {
	Options
	src     *origin
	builder *build.Builder
	sink    build.Sink
}

// once goes down the line: scan, check, overlay, build, publish. What changed in
// the tree meanwhile is the answer of a walk that is to be repeated.
func (l *line) once(ctx context.Context) (build.Built, *tree.Change, error) {
	scanned, err := l.builder.Scan(ctx)
	if err != nil || scanned.Changed != nil {
		return build.Built{}, scanned.Changed, err
	}
	carried, err := l.Carry.choose(ctx, &scanned, l.excludes())
	if err != nil {
		return build.Built{}, nil, fmt.Errorf("carrying over assets: %w", err)
	}
	l.Observer.Carried(carried)
	key := l.cacheKey(carried)
	if built, stands, err := l.builder.Standing(ctx, scanned, key, l.sink); stands || err != nil {
		return built, nil, err
	}
	if err := scanned.Settle(ctx); err != nil {
		return build.Built{}, nil, err
	}
	view := scanned.View(l.builder.Disk())
	report, err := l.check(ctx, &scanned, view, key)
	if err != nil {
		return build.Built{}, nil, err
	}
	overlay, members, err := l.overlay(report, carried)
	if err != nil {
		return build.Built{}, nil, err
	}
	defer members.Close()
	laid, err := scanned.Lay(overlay)
	if err != nil {
		return build.Built{}, nil, err
	}
	if err := laid.Refusal(); err != nil {
		return build.Built{}, nil, err
	}
	if !overlay.Empty() {
		view = laid.View(l.builder.Disk())
	}
	description, err := l.describe(view, report, carried)
	if err != nil {
		return build.Built{}, nil, err
	}
	return l.builder.Pack(ctx, build.Work{
		Scanned: scanned, Laid: laid, Description: description,
		Key: key, Foreign: replacesLinks(&scanned, report), Notes: report.Notes,
	}, l.sink)
}

// check looks at the scanned tree, and refuses one that the check blocks. Files
// that an earlier build under the same key has read are not read again.
func (l *line) check(ctx context.Context, scanned *tree.Listing, view fs.FS, key string) (Report, error) {
	known := l.builder.Known(*scanned, key)
	report, err := examine(ctx, l.src, view, examination{
		exclude: l.Exclude, settings: l.Check, waivers: l.Waivers,
		previous: &rules.Previous{Notes: known.Notes, Unchanged: known.Unchanged},
	})
	if refusal := scanned.Refusal(); err != nil && refusal != nil {
		return Report{}, refusal // the check met what the scan has told already
	}
	if err != nil {
		return Report{}, err
	}
	if report.Site == nil && len(scanned.Findings) == 0 {
		if _, err := wordpress.Inspect(view); err != nil { // says what is missing
			return Report{}, l.unreadable(err)
		}
	}
	l.Observer.Checked(report)
	return report, report.Blocks(l.Tree)
}

func (l *line) unreadable(err error) error { return fmt.Errorf("reading tree %q: %w", l.Tree, err) }

// describe looks at what the release holds as WordPress; view shows it.
func (l *line) describe(view fs.FS, report Report, carried wordpress.Carried) (build.Description, error) {
	site, err := l.site(view, report, carried)
	if err != nil {
		return build.Description{}, l.unreadable(err)
	}
	sbom, err := wordpress.SBOM(view, l.Version, site)
	if err != nil {
		return build.Description{}, l.unreadable(err)
	}
	if len(carried.Files) > 0 {
		if sbom, err = wordpress.CarriedSBOM(sbom, carried); err != nil {
			return build.Description{}, err
		}
	}
	return build.Description{WordPress: &site, SBOM: sbom}, nil
}

// site is what the check found the tree to be; a release that holds something
// else is looked at anew.
func (l *line) site(view fs.FS, report Report, carried wordpress.Carried) (artifact.WordPress, error) {
	if report.Site == nil || len(report.Repairs.Replace) > 0 || len(carried.Files) > 0 {
		return wordpress.Inspect(view)
	}
	return report.Site.WordPress, nil
}

// nobody hears nothing.
type nobody struct{}

func (nobody) Carried(wordpress.Carried)  {}
func (nobody) Checked(Report)             {}
func (nobody) Progress(artifact.Progress) {}
