package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/wordpress/database"
)

// wantsSchema reports whether the database has to follow the release: it is
// asked to once the whole fleet is proven on the new code, and never on the
// way back.
func (r Record) wantsSchema() bool {
	if r.Kind != Release || r.Code == 0 || r.Has(StepSchema) {
		return false
	}
	return r.Database == nil || r.Database.Schema < r.Code || r.Database.Behind > 0
}

// upgradeSchema brings the database up to the release. The list of proven
// releases comes first: whatever becomes of the database, the fleet has passed.
func (r *run) upgradeSchema(ctx context.Context, s State) error {
	if err := r.prove(ctx, s, Released); err != nil {
		return err
	}
	if r.rec.Database == nil {
		return r.firstSchema(ctx, s)
	}
	if err := r.snapshot(ctx); err != nil {
		return err
	}
	return r.schemaStep(ctx, s)
}

// firstSchema asks the database by way of a node that has the release now: no
// node could be asked when the run began. Out of reach as before, the step is
// left to a person.
func (r *run) firstSchema(ctx context.Context, s State) error {
	d := r.b.askDatabase(ctx, s)
	if d == nil {
		return r.record(ctx, StepSchema, func(*Record) {})
	}
	p := acceptance{database: d, code: r.rec.Code}
	if d.Schema > r.rec.Code {
		m := database.Move{Now: d}
		var err error
		if m.To, err = r.b.wordpress(ctx, r.rec.Version, r.rec.Manifest); err != nil {
			return err
		}
		p.incompatible = database.Incompatibilities(m)
	}
	if d.Schema >= r.rec.Code && d.Behind == 0 {
		for _, d := range p.incompatible {
			r.b.emit(Event{Kind: "incompatibility", Run: r.rec.Run, Text: fmt.Sprintf("%s %s: %s", d.ID, d.Name, d.Text)})
		}
		return r.record(ctx, StepSchema, func(rec *Record) { rec.Database, rec.Incompatibilities = d, p.incompatible })
	}
	r.rec.Database = d // written with the next step
	return nil
}

// snapshot calls the hook that saves the database, once for a run.
func (r *run) snapshot(ctx context.Context) error {
	if r.b.o.Snapshot == nil || r.rec.Has(StepSnapshot) {
		return nil
	}
	var name string
	err := r.holding(ctx, func(ctx context.Context) (err error) {
		name, err = r.b.o.Snapshot(ctx, r.rec)
		return err
	})
	if err != nil {
		return r.schemaFailed(ctx, fmt.Errorf("saving the database: %w", err))
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	return r.record(whole, StepSnapshot, func(rec *Record) { rec.Snapshot = name })
}

func (r *run) schemaStep(ctx context.Context, s State) error {
	ids := s.reachable(r.rec.Manifest)
	if len(ids) == 0 {
		return r.schemaFailed(ctx, fmt.Errorf("no node in service has reported %s", r.rec.Manifest.Short()))
	}
	if err := r.fence(ctx); err != nil {
		return err
	}
	r.wait(fmt.Sprintf("node %s brings the database from schema %d to %d", ids[0], r.rec.Database.Schema, r.rec.Code))
	var done node.Schema
	err := r.holding(ctx, func(ctx context.Context) (err error) {
		done, err = r.b.o.Site.UpgradeSchema(ctx, ids[0], r.rec.Manifest)
		return err
	})
	if err != nil {
		return r.schemaFailed(ctx, fmt.Errorf("node %s: %w", ids[0], err))
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	return r.record(whole, StepSchema, func(rec *Record) {
		rec.Schema = &SchemaChange{Before: rec.Database.Schema, After: done.After, Node: ids[0], Sites: done.Sites}
	})
}

// SchemaChange is the schema step of a run. Before is what was found when the
// run began: a step that had to be called twice still tells where it started.
type SchemaChange struct {
	Before int    `json:"before"`
	After  int    `json:"after"`
	Node   string `json:"node"`
	Sites  int    `json:"sites,omitempty"` // of a network, besides the main site
}

// schemaFailed leaves the run open: the fleet stands proven on the release,
// which serves visitors on the older schema too.
func (r *run) schemaFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &InterventionRequired{Run: r.rec.Run,
		Text: fmt.Sprintf("every node is proven on %s, but the database has not followed: %v", r.rec.Version, err),
		Fix:  "put that right, then wpbake resume: the step runs once, and only if it has to"}
}

// holding keeps the lease alive while work takes its time.
func (r *run) holding(ctx context.Context, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	tick := time.NewTicker(r.b.o.Lease / 6)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if err := r.lease.renew(ctx); err != nil {
				cancel()
				<-done
				return err
			}
		}
	}
}
