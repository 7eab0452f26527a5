// Package rollout moves an Auto Scaling group to a published version and
// proves what came of it.
//
// A release is [Observation], then [Plan], then effects: the engine observes
// the group and the store, decides from that what to do, takes the group's
// lock, observes and decides again, and then asks the pure [Next] for one
// action after another. Nothing is remembered between them but what stands in
// the store's record, so a run that was killed is continued by the same
// command. The package knows the order of things, when a new node is good or
// bad, and what counts as proof. It does not know AWS's SDK (package
// internal/aws adapts it), Packer or terminals.
package rollout

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Engine moves one group. It composes what observes, what decides and what
// acts, and owns nothing that changes.
type Engine struct {
	o    Options
	docs documents
}

// New checks options and fills in defaults.
func New(o Options) (*Engine, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Engine{o: o, docs: documents{store: o.Store, group: o.Group}}, nil
}

// Observe looks at everything that could stand in the way of a release, once,
// and changes nothing. A group that does not exist is a finding.
func (e *Engine) Observe(ctx context.Context) (Observation, error) {
	obs := newObserver(&e.o)
	o, err := obs.observe(ctx, "")
	if errors.Is(err, ErrNoGroup) {
		return Observation{Findings: []Finding{noGroup(e.o.Group)}}, nil
	}
	if err != nil {
		return o, err
	}
	return o, obs.preflight(ctx, &o)
}

// Plan observes and decides what would be done about an intent. The plan comes
// with the error that refuses it, as far as it got.
//
// Errors: *Refused, *Busy, *Unfinished, *Incompatible and *NotProven; nothing
// was changed.
func (e *Engine) Plan(ctx context.Context, in Intent) (Plan, error) {
	return newObserver(&e.o).plan(ctx, in)
}

// Rollback takes the group back to a proven version; an empty version means
// the newest proven one that does not run now. While a release is under way
// it is turned back instead. It asks for no preflight, ignores alarms and
// takes the lock over from whoever holds it.
func (e *Engine) Rollback(ctx context.Context, in Intent) (Result, error) {
	in.Kind = Rollback
	for {
		p, err := e.Plan(ctx, in)
		if err != nil {
			return Result{}, err
		}
		res, err := e.Execute(ctx, p)
		if err != nil || p.Observation.active() == nil || wentBack(res, in.Version) {
			return res, err
		}
		e.emitter().note(res.Run, "the refresh to %s ended %s: going on from there", res.Version, res.Outcome)
	}
}

// wentBack reports whether ending the active refresh is all that a rollback to
// v asked for. It is not when the refresh succeeded before it could be turned
// back, or when another version than v ran before it.
func wentBack(r Result, v artifact.Version) bool {
	switch {
	case r.Outcome == RolledBack:
		return v == "" || v == r.Serving
	case r.Outcome == Released:
		return r.Kind == Rollback && (v == "" || v == r.Version)
	}
	return true
}

// Resume takes up the run that stands in the lock and executes it to its end.
func (e *Engine) Resume(ctx context.Context) (Result, error) {
	obs := newObserver(&e.o)
	o, err := obs.observe(ctx, "")
	if err != nil {
		return Result{}, err
	}
	if o.lockErr != nil {
		return Result{}, o.lockErr
	}
	if !o.open() {
		return Result{}, &NothingOpen{Group: e.o.Group}
	}
	in := Intent{}.of(o.Lock)
	p := Plan{Intent: in, Observation: o, Run: o.Lock.Run, asked: in, obs: obs}
	if p.waitIf(o.Held); p.begins() { // it died between its lock and its record
		if p, err = obs.planFrom(ctx, o, in); err != nil {
			return Result{}, err
		}
	}
	return e.Execute(ctx, p)
}

// Status looks at what the group runs, saves and waits for.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	o, err := newObserver(&e.o).observe(ctx, "")
	if err == nil {
		err = cmp.Or(o.lockErr, o.provenErr)
	}
	if err != nil {
		return Status{}, err
	}
	return o.Status(), nil
}

// History returns the records of the group's runs, newest first.
func (e *Engine) History(ctx context.Context) ([]Record, error) { return e.docs.records(ctx) }

// Database asks the database by way of a node in service. Without a Site, or
// with none that answers, it is an error.
func (e *Engine) Database(ctx context.Context) (*database.State, error) {
	if e.o.Site == nil {
		return nil, errors.New("nothing says how to reach the database: database.command in wpbake.yaml does")
	}
	o, err := newObserver(&e.o).observe(ctx, "")
	if err != nil {
		return nil, err
	}
	ids := o.reachable("")
	if len(ids) == 0 {
		return nil, errors.New("asking the database: no node of a release is in service")
	}
	d, err := e.o.Site.Database(ctx, ids[0])
	if err != nil {
		return nil, fmt.Errorf("asking the database by way of node %s: %w", ids[0], err)
	}
	return &d, nil
}

func (e *Engine) emitter() *emitter { return &emitter{sink: e.o.Events} }

// NewRun names a run: its start and six random hex digits.
func NewRun(now time.Time) string {
	var b [3]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}
