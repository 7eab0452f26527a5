package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Site reaches the database of a group's site by way of one of its nodes.
type Site interface {
	// Database asks, and changes nothing.
	Database(ctx context.Context, instance string) (database.State, error)
	// UpgradeSchema brings the database up to the release with the given
	// manifest, which the node must serve. Asked again it finds what it did.
	UpgradeSchema(ctx context.Context, instance string, manifest artifact.Digest) (node.Schema, error)
}

// Incompatible says that the database has gone where the code to come cannot
// follow. Nothing was changed.
type Incompatible struct {
	Group             string
	Kind              Kind
	Version           artifact.Version
	Incompatibilities []database.Incompatibility // all of them; at least one blocks
}

func (e *Incompatible) Error() string {
	var texts []string
	for _, d := range database.Blocking(e.Incompatibilities) {
		texts = append(texts, fmt.Sprintf("%s %s: %s", d.ID, d.Name, d.Text))
	}
	return fmt.Sprintf("%s of %s to group %q is refused, the database does not go back with the code: %s", e.Kind, e.Version, e.Group, strings.Join(texts, "; "))
}

// Hint says how to go through all the same.
func (e *Incompatible) Hint() string {
	fix := database.Blocking(e.Incompatibilities)[0].Fix
	return fix + "; --accept-incompatible goes ahead all the same"
}

// acceptance is what stands between the database and a release.
type acceptance struct {
	incompatible []database.Incompatibility
	database     *database.State // nil when it was not asked
	code         int             // the schema that the release is for; 0 when that is not known
}

// acceptance looks at what the group runs, at the release to come and at the
// database. Without a Site it knows nothing and finds nothing.
func (b *Engine) acceptance(ctx context.Context, kind Kind, v artifact.Version, manifest artifact.Digest) (acceptance, error) {
	if b.o.Site == nil {
		return acceptance{}, nil
	}
	to, err := b.wordpress(ctx, v, manifest)
	if err != nil {
		return acceptance{}, err
	}
	return b.acceptanceTo(ctx, kind, to)
}

func (b *Engine) acceptanceTo(ctx context.Context, kind Kind, to *artifact.WordPress) (acceptance, error) {
	if to == nil {
		return acceptance{}, nil
	}
	s, err := b.observer().observe(ctx, Record{})
	if err != nil {
		return acceptance{}, err
	}
	m := database.Move{To: to, Back: kind == Rollback}
	if pin, ok := s.served(); ok {
		if m.From, err = b.wordpress(ctx, pin.Version, pin.Manifest); err != nil {
			b.emit(Event{Kind: "note", Text: fmt.Sprintf("what runs now cannot be compared: %v", err)})
		}
		if m.Previous, err = b.before(ctx, pin.Run); err != nil {
			return acceptance{}, err
		}
		m.Now = b.askDatabase(ctx, s)
	}
	return acceptance{incompatible: database.Incompatibilities(m), database: m.Now, code: to.DBVersion}, nil
}

// wordpress is what a published version is as WordPress, nil when nobody
// looked.
func (b *Engine) wordpress(ctx context.Context, v artifact.Version, want artifact.Digest) (*artifact.WordPress, error) {
	m, digest, err := artifact.Find(ctx, b.o.Store, v)
	if err != nil {
		return nil, err
	}
	if digest != want {
		return nil, fmt.Errorf("the store holds manifest %s of %q, not %s", digest.Short(), v, want.Short())
	}
	return m.WordPress, nil
}

// before is the database as it was when a run began: the last that is known of
// it under the code that ran until then.
func (b *Engine) before(ctx context.Context, run string) (*database.State, error) {
	rec, _, err := b.docs().record(ctx, run)
	return rec.Database, err
}

// served is the release that the group's saved template version pins.
func (s State) served() (Boot, bool) {
	if len(s.Group.Templates) == 0 {
		return Boot{}, false
	}
	return s.pin(s.Group.Templates[0])
}

// askDatabase asks by way of the nodes in service, one after the other, and
// tells why none could.
func (b *Engine) askDatabase(ctx context.Context, s State) *database.State {
	why := errors.New("no node of a release is in service")
	for _, id := range s.reachable("") {
		d, err := b.o.Site.Database(ctx, id)
		if err == nil {
			return &d
		}
		if why = fmt.Errorf("node %s: %w", id, err); ctx.Err() != nil {
			break
		}
	}
	b.emit(Event{Kind: "note", Text: fmt.Sprintf("the database was not asked: %v", why)})
	return nil
}

// How many nodes are tried before the database counts as out of reach.
const tries = 2

// reachable are nodes in service that have proven a release, or the given one.
func (s State) reachable(manifest artifact.Digest) []string {
	var ids []string
	for _, n := range s.Group.Nodes {
		r, ok := s.Reports[n.ID]
		if n.Lifecycle == "InService" && ok && r.Verdict == node.Good && (manifest == "" || r.Manifest == manifest) {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), tries)]
}

// checkCompatibility refuses incompatibilities that nobody has accepted, and tells of the others.
func (b *Engine) checkCompatibility(kind Kind, v artifact.Version, p acceptance) error {
	if len(database.Blocking(p.incompatible)) > 0 && !b.o.AcceptIncompatible {
		return &Incompatible{Group: b.o.Group, Kind: kind, Version: v, Incompatibilities: p.incompatible}
	}
	for _, d := range p.incompatible {
		b.emit(Event{Kind: "incompatibility", Version: v, Text: fmt.Sprintf("%s %s: %s", d.ID, d.Name, d.Text)})
	}
	return nil
}

// into writes a acceptance into the record of the run that goes through it.
func (p acceptance) into(rec *Record) {
	rec.Database, rec.Incompatibilities, rec.Code = p.database, p.incompatible, p.code
	rec.Accepted = len(database.Blocking(p.incompatible)) > 0
}

// Incompatibilities lists what stands between the database and a tree that may not be
// published yet, and changes nothing. Without a Site there is nothing to tell.
func (b *Engine) Incompatibilities(ctx context.Context, to *artifact.WordPress) ([]database.Incompatibility, *database.State, error) {
	if b.o.Site == nil {
		return nil, nil, nil
	}
	p, err := b.acceptanceTo(ctx, Release, to)
	return p.incompatible, p.database, err
}

// leftBehind adds to the record of a release that was turned back what the
// nodes that had it did to the database. It is for people: the way back from a
// bad release is never refused.
func (r *run) leftBehind(ctx context.Context, s State) {
	if r.b.o.Site == nil || r.rec.Code == 0 {
		return
	}
	m := database.Move{Back: true, Previous: r.rec.Database}
	var err error
	if m.From, err = r.b.wordpress(ctx, r.rec.Version, r.rec.Manifest); err != nil {
		return
	}
	if pin, ok := s.basePin(); ok {
		if m.To, err = r.b.wordpress(ctx, pin.Version, pin.Manifest); err != nil {
			return
		}
	}
	if m.To == nil {
		return
	}
	if m.Now = r.b.askDatabase(ctx, s); m.Now == nil {
		return
	}
	r.rec.Incompatibilities = database.Incompatibilities(m)
	for _, d := range r.rec.Incompatibilities {
		r.b.emit(Event{Kind: "incompatibility", Run: r.rec.Run, Text: fmt.Sprintf("%s %s: %s", d.ID, d.Name, d.Text)})
	}
}

// Database asks the database by way of a node in service. Without a Site, or
// with none that answers, it is an error.
func (b *Engine) Database(ctx context.Context) (*database.State, error) {
	if b.o.Site == nil {
		return nil, errors.New("nothing says how to reach the database: database.command in wpbake.yaml does")
	}
	s, err := b.observer().observe(ctx, Record{})
	if err != nil {
		return nil, err
	}
	ids := s.reachable("")
	if len(ids) == 0 {
		return nil, errors.New("asking the database: no node of a release is in service")
	}
	d, err := b.o.Site.Database(ctx, ids[0])
	if err != nil {
		return nil, fmt.Errorf("asking the database by way of node %s: %w", ids[0], err)
	}
	return &d, nil
}
