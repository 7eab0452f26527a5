package rollout

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/wordpress/database"
)

// SchemaChange is the schema step of a run. Before is what was found when the
// run began: a step that had to be called twice still tells where it started.
type SchemaChange struct {
	Before int    `json:"before"`
	After  int    `json:"after"`
	Node   string `json:"node"`
	Sites  int    `json:"sites,omitempty"` // of a network, besides the main site
}

// wantsSchema reports whether the database has to follow the release: it is
// asked to once the whole fleet is proven on the new code, and never on the
// way back.
func (r Record) wantsSchema() bool {
	if r.Kind != Release || r.Code == 0 || r.Has(StepSchema) {
		return false
	}
	return r.Database == nil || r.Database.Schema < r.Code || r.Database.Behind > 0
}

// schemaStep makes the database follow a release whose fleet is proven.
type schemaStep struct {
	journal  *journal
	database siteDatabase
	snapshot func(ctx context.Context, r Record) (string, error) // saves the database; may be nil
}

// upgrade brings the database up to the release. The list of proven releases
// comes first: whatever becomes of the database, the fleet has passed.
func (t schemaStep) upgrade(ctx context.Context, s State) error {
	if err := t.journal.prove(ctx, s, Released); err != nil {
		return err
	}
	if t.journal.rec.Database == nil {
		return t.first(ctx, s)
	}
	if err := t.save(ctx); err != nil {
		return err
	}
	return t.change(ctx, s)
}

// first asks the database by way of a node that has the release now: no node
// could be asked when the run began. Out of reach as before, the step is left
// to a person.
func (t schemaStep) first(ctx context.Context, s State) error {
	rec := &t.journal.rec
	d := t.database.ask(ctx, s)
	if d == nil {
		return t.journal.mark(ctx, StepSchema)
	}
	var found []database.Incompatibility
	if d.Schema > rec.Code {
		to, err := wordpressOf(ctx, t.journal.docs.store, rec.Version, rec.Manifest)
		if err != nil {
			return err
		}
		found = database.Incompatibilities(database.Move{To: to, Now: d})
	}
	if d.Schema >= rec.Code && d.Behind == 0 {
		t.database.emitter.incompatibilities(rec.Run, "", found)
		return t.journal.write(ctx, StepSchema, func(rec *Record) { rec.Database, rec.Incompatibilities = d, found })
	}
	rec.Database = d // written with the next step
	return nil
}

// save calls the hook that saves the database, once for a run.
func (t schemaStep) save(ctx context.Context) error {
	if t.snapshot == nil || t.journal.rec.Has(StepSnapshot) {
		return nil
	}
	var name string
	err := t.journal.lease.during(ctx, func(ctx context.Context) (err error) {
		name, err = t.snapshot(ctx, t.journal.rec)
		return err
	})
	if err != nil {
		return t.failed(ctx, fmt.Errorf("saving the database: %w", err))
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	return t.journal.write(whole, StepSnapshot, func(rec *Record) { rec.Snapshot = name })
}

func (t schemaStep) change(ctx context.Context, s State) error {
	rec := t.journal.rec
	ids := s.reachable(rec.Manifest)
	if len(ids) == 0 {
		return t.failed(ctx, fmt.Errorf("no node in service has reported %s", rec.Manifest.Short()))
	}
	if err := t.journal.lease.fence(ctx); err != nil {
		return err
	}
	t.database.emitter.waiting(rec.Run, fmt.Sprintf("node %s brings the database from schema %d to %d", ids[0], rec.Database.Schema, rec.Code))
	var done node.Schema
	err := t.journal.lease.during(ctx, func(ctx context.Context) (err error) {
		done, err = t.database.site.UpgradeSchema(ctx, ids[0], rec.Manifest)
		return err
	})
	if err != nil {
		return t.failed(ctx, fmt.Errorf("node %s: %w", ids[0], err))
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	return t.journal.write(whole, StepSchema, func(rec *Record) {
		rec.Schema = &SchemaChange{Before: rec.Database.Schema, After: done.After, Node: ids[0], Sites: done.Sites}
	})
}

// failed leaves the run open: the fleet stands proven on the release, which
// serves visitors on the older schema too.
func (t schemaStep) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	rec := t.journal.rec
	return &InterventionRequired{Run: rec.Run,
		Text: fmt.Sprintf("every node is proven on %s, but the database has not followed: %v", rec.Version, err),
		Fix:  "put that right, then wpbake resume: the step runs once, and only if it has to"}
}

// leftBehind adds to the record of a release that was turned back what the
// nodes that had it did to the database. It is for people: the way back from a
// bad release is never refused.
func (t schemaStep) leftBehind(ctx context.Context, s State) {
	rec := &t.journal.rec
	if t.database.site == nil || rec.Code == 0 {
		return
	}
	m := database.Move{Back: true, Previous: rec.Database}
	var err error
	if m.From, err = wordpressOf(ctx, t.journal.docs.store, rec.Version, rec.Manifest); err != nil {
		return
	}
	if pin, ok := s.basePin(); ok {
		if m.To, err = wordpressOf(ctx, t.journal.docs.store, pin.Version, pin.Manifest); err != nil {
			return
		}
	}
	if m.To == nil {
		return
	}
	if m.Now = t.database.ask(ctx, s); m.Now == nil {
		return
	}
	rec.Incompatibilities = database.Incompatibilities(m)
	t.database.emitter.incompatibilities(rec.Run, "", rec.Incompatibilities)
}
