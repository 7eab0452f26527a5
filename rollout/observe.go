package rollout

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/wpbake/wpbake/rollout/userdata"
)

// observer looks at AWS and the store. Between observations it keeps only what
// cannot change (what a numbered template version pins, a report of a known
// revision) and how often in a row a target was unhealthy.
type observer struct {
	o         *Options
	docs      documents
	pins      pins
	reports   reports
	made      []TemplateRef // by the run of this process, not yet in its record
	unhealthy map[string]int
	compared  comparison      // the last one
	told      map[string]bool // runs whose records were said not to be believed
}

func newObserver(o *Options) *observer {
	return &observer{
		o: o, docs: documents{store: o.Store, group: o.Group},
		pins:      pins{templates: o.Cloud.Templates, group: o.Group, known: map[TemplateRef]*userdata.Boot{}},
		reports:   reports{store: o.Store, group: o.Group, seen: map[string]seenReport{}},
		unhealthy: map[string]int{}, told: map[string]bool{},
	}
}

// plan observes and decides what would be done about an intent.
func (b *observer) plan(ctx context.Context, in Intent) (Plan, error) {
	o, err := b.observe(ctx, "")
	if errors.Is(err, ErrNoGroup) && in.Kind == Release {
		o = Observation{Findings: []Finding{noGroup(b.o.Group)}}
		return Plan{Intent: in, Observation: o}, refuse(b.o.Group, o.Findings)
	}
	if err != nil {
		return Plan{}, err
	}
	return b.planFrom(ctx, o, in)
}

// planFrom asks more only for a run that would begin: for one that goes on,
// alarms, permissions and the database were asked when it did.
func (b *observer) planFrom(ctx context.Context, o Observation, in Intent) (Plan, error) {
	if in.Kind == Release && !o.joins(in) {
		if err := b.preflight(ctx, &o); err != nil {
			return Plan{}, err
		}
	}
	p, err := o.Plan(in)
	if err == nil && p.begins() && p.Intent.Manifest != "" {
		if err = b.compare(ctx, &o, p); err == nil {
			p, err = o.Plan(in)
		}
	}
	p.obs = b
	return p, err
}

// observe takes one observation, about the given run or, when that is empty,
// about the one in the lock. Nothing is asked twice for it.
func (b *observer) observe(ctx context.Context, run string) (Observation, error) {
	b.pins.begin()
	o := Observation{Saves: b.o.Snapshot != nil, group: b.o.Group}
	g, err := b.o.Cloud.Groups.Group(ctx, b.o.Group)
	if err != nil {
		return o, err
	}
	// Before the record, which names a refresh's templates before it starts:
	// the other way round a run's own refresh could look like somebody else's.
	if o.Refreshes, err = b.o.Cloud.Refreshes.Refreshes(ctx, g.Name); err != nil {
		return o, err
	}
	if o.Lock, o.LockETag, err = b.docs.lock(ctx); isGarbled(err) && o.LockETag != "" {
		o.Lock, o.lockErr = Lock{}, err
	} else if err != nil {
		return o, err
	}
	o.Held = b.held(o.Lock)
	if err := b.recordOf(ctx, &o, cmp.Or(run, o.Lock.Run)); err != nil {
		return o, err
	}
	o.Proven, o.provenErr = b.docs.proven(ctx)
	if o.Saved, err = b.pins.saved(ctx, g.Templates); err != nil {
		return o, err
	}
	o.State, err = b.state(ctx, g, o.Refreshes, o.Record)
	return o, err
}

// recordOf reads the record of a run. One that is not of the run that the lock
// names is left aside with a word, and the lock's run with it: who asks for
// something gets that, by a run of its own.
func (b *observer) recordOf(ctx context.Context, o *Observation, run string) (err error) {
	if run == "" {
		return nil
	}
	o.Record, o.RecordETag, err = b.docs.record(ctx, run)
	why := ""
	switch {
	case isGarbled(err):
		why = err.Error()
	case err != nil:
		return err
	case o.RecordETag != "" && run == o.Lock.Run:
		why = o.Record.contradiction(o.Lock, o.group)
	}
	if why == "" {
		return nil
	}
	o.Record, o.RecordETag = Record{}, ""
	if run == o.Lock.Run {
		o.Lock.Run = ""
	}
	if !b.told[run] {
		b.told[run] = true
		(&emitter{sink: b.o.Events}).note(run, "the record of run %s is not believed: %s; what goes on is decided without it", run, why)
	}
	return nil
}

// isGarbled reports whether a document is there and is none of this program's.
func isGarbled(err error) bool {
	var garbled *InterventionRequired
	return errors.As(err, &garbled)
}

// preflight adds what a release asks before it begins: alarms, and by dry run
// whether template versions may be made.
func (b *observer) preflight(ctx context.Context, o *Observation) error {
	asked := map[string]bool{}
	for _, t := range o.Group.Templates {
		if _, exists := o.Saved[t]; !exists || asked[t.ID] {
			continue
		}
		asked[t.ID] = true
		err := b.o.Cloud.Templates.MayCreate(ctx, t.ID)
		if errors.Is(err, ErrDenied) {
			o.Denied = append(o.Denied, t)
		} else if err != nil {
			return err
		}
	}
	if o.Watch = b.o.Refresh.Alarms; len(o.Watch) > 0 {
		var err error
		if o.Alarms, err = b.o.Cloud.Fleet.Alarms(ctx, o.Watch); err != nil {
			return err
		}
	}
	o.Findings = o.findings()
	return nil
}

// held reports whether another live process has the lock. Without a process id
// a holder of the same name may still be another process.
func (b *observer) held(l Lock) bool {
	if l.Expires.IsZero() || time.Now().After(l.Expires) {
		return false
	}
	if l.Holder.PID != 0 && l.Holder == b.o.Holder {
		return false
	}
	return b.o.Alive(l.Holder)
}

// observeRun observes what moves while the run of rec goes on.
func (b *observer) observeRun(ctx context.Context, rec Record) (State, error) {
	b.pins.begin()
	g, err := b.o.Cloud.Groups.Group(ctx, b.o.Group)
	if err != nil {
		return State{}, err
	}
	refreshes, err := b.o.Cloud.Refreshes.Refreshes(ctx, g.Name)
	if err != nil {
		return State{}, err
	}
	return b.state(ctx, g, refreshes, rec)
}

// state adds to the group what runs: pins, reports, target health and, until a
// new node has proven itself, the launches that failed.
func (b *observer) state(ctx context.Context, g Group, refreshes []Refresh, rec Record) (State, error) {
	s := State{
		Now: time.Now(), Group: g, Record: rec, Templates: b.templates(rec),
		Limits: Limits{FirstNode: b.o.FirstNode, Settle: b.o.Settle}, Asks: b.o.Site != nil,
	}
	s.attribute(refreshes)
	var err error
	if s.Pins, err = b.pins.of(ctx, s); err != nil {
		return State{}, err
	}
	if s.Reports, err = b.reports.of(ctx, s); err != nil {
		return State{}, err
	}
	if s.Targets, err = b.targets(ctx, g); err != nil {
		return State{}, err
	}
	s.Unhealthy = b.countUnhealthy(s)
	if good, _ := newReports(s); s.Refresh != nil && s.Refresh.Active() && len(good) == 0 {
		since := s.Record.Started
		if !s.Refresh.Started.IsZero() {
			since = s.Refresh.Started
		}
		if s.Activities, err = b.o.Cloud.Groups.Activities(ctx, g.Name, since); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// attribute tells the run's refresh from an active one that is not.
func (s *State) attribute(refreshes []Refresh) {
	found := s.Record
	found.Templates = s.Templates
	s.Refresh = found.find(refreshes)
	for i, r := range refreshes {
		if r.Active() && (s.Refresh == nil || r.ID != s.Refresh.ID) {
			s.Foreign = &refreshes[i]
			return
		}
	}
}

// templates returns the run's template versions, one per template of the
// group, without a number where none is known to be as it was asked for.
func (b *observer) templates(rec Record) []TemplateRef {
	if len(rec.Templates) > 0 {
		return rec.Templates
	}
	refs := make([]TemplateRef, len(rec.Base))
	for i, base := range rec.Base {
		refs[i] = TemplateRef{ID: base.ID, Name: base.Name}
		for _, made := range b.made {
			if made.ID == base.ID {
				refs[i] = made
			}
		}
	}
	return refs
}

func (b *observer) targets(ctx context.Context, g Group) (map[string][]Target, error) {
	byNode := map[string][]Target{}
	for _, arn := range g.TargetGroups {
		targets, err := b.o.Cloud.Fleet.Targets(ctx, arn)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			byNode[t.ID] = append(byNode[t.ID], t)
		}
	}
	return byNode, nil
}

func (b *observer) countUnhealthy(s State) map[string]int {
	counts := map[string]int{}
	for _, n := range s.Group.Nodes {
		for _, t := range s.Targets[n.ID] {
			if t.State == "unhealthy" {
				counts[n.ID] = b.unhealthy[n.ID] + 1
			}
		}
	}
	b.unhealthy = counts
	return counts
}
