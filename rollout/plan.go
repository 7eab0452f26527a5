package rollout

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Plan is what is to be done about an intent, decided from one observation.
type Plan struct {
	Intent      Intent // with the version and manifest that a rollback goes to
	Observation Observation
	Steps       []string // for people, in order; empty when nothing is begun

	Incompatibilities []database.Incompatibility // of the database with the code to come

	UpToDate *Result        // there is nothing to do
	Wait     *Lock          // another run has to end first
	Run      string         // the unfinished run of the same aim that is gone on with; empty: one begins
	Undo     string         // why the active refresh is turned back; what comes then is planned anew
	Target   *ProvenRelease // what a rollback goes to

	asked    Intent // as it was before anything was filled in
	takeover string // why the lock is taken from whoever holds it
	leaving  string // what a rollback leaves
	obs      *observer
}

// begins reports whether the plan leads to a run that has no record yet.
func (p Plan) begins() bool {
	if p.UpToDate != nil || p.Undo != "" && p.takeover == "" {
		return false
	}
	return p.Run == "" || p.Wait == nil && p.Observation.Record.Run != p.Run
}

// sameRun reports whether two plans lead to the same run, with nothing to be
// done before it.
func (p Plan) sameRun(q Plan) bool {
	return p.UpToDate == nil && p.Wait == nil && p.Undo == "" && p.Run == q.Run &&
		p.Intent.Version == q.Intent.Version && p.Intent.Manifest == q.Intent.Manifest
}

// Plan decides what to do about an intent. It is total and has no effect. With
// an error it comes as far as it got.
func (o Observation) Plan(in Intent) (Plan, error) {
	p := Plan{Intent: in, Observation: o, asked: in}
	if o.joins(in) {
		p.Run, p.Intent = o.Lock.Run, in.of(o.Lock)
	}
	if in.Kind == Rollback {
		return p.rollback()
	}
	if o.lockErr != nil {
		return p, o.lockErr
	}
	return p.release()
}

func (p Plan) release() (Plan, error) {
	o, in := p.Observation, p.Intent
	if p.Run != "" {
		p.Steps = []string{fmt.Sprintf("release: run %s goes on from its record", p.Run)}
		p.waitIf(o.Held)
		return p.compatible() // it may always be gone on with, whatever the group looks like by now
	}
	if err := refuse(o.Group.Name, o.Findings); err != nil {
		return p, err
	}
	unfinished := o.open() && o.owned(o.active())
	switch {
	case in.OnBusy == Supersede && (o.open() || o.Held):
		p.takeover = fmt.Sprintf("superseded by %s of %s", in.Kind, in.Version)
		if unfinished {
			p.Undo = p.takeover
			p.Steps = []string{fmt.Sprintf("rollback: run %s of %s would be turned back first", o.Lock.Run, o.Lock.Version)}
		}
	case in.OnBusy == Wait:
		p.waitIf(o.Held || unfinished)
	case o.Held:
		return p, &Busy{Group: o.Group.Name, Lock: o.Lock}
	case unfinished:
		return p, &Unfinished{Group: o.Group.Name, Lock: o.Lock}
	}
	if res, ok := o.upToDate(in); ok && p.Wait == nil {
		p.UpToDate = &res
		p.Steps = []string{fmt.Sprintf("release: nothing, %s of %s proven on it", countNodes(len(o.Group.Nodes)), o.Group.Name)}
		return p, nil
	}
	if in.Manifest != "" {
		p.Steps = append(p.Steps, o.releaseSteps(in)...)
	}
	return p.compatible()
}

func (p Plan) rollback() (Plan, error) {
	o, in := p.Observation, p.Intent
	if active := o.active(); active != nil {
		return p.rollbackDuring(active)
	}
	if p.Run != "" && o.open() && o.Record.Run == p.Run {
		p.waitIf(o.Held)
		return p, nil
	}
	target, leaving, err := o.wayBack(in.Version)
	if err != nil {
		return p, err
	}
	p.Target, p.leaving = &target, leaving
	p.Intent.Version, p.Intent.Manifest = target.Version, target.Manifest
	if p.Run = ""; o.open() && p.Intent.same(o.Lock) {
		p.Run = o.Lock.Run
		p.waitIf(o.Held)
	} else {
		p.takeover = "rollback"
	}
	return p.compatible()
}

// rollbackDuring is a rollback while a refresh is active: the release that it
// belongs to is turned back, a rollback of the same aim is gone on with.
func (p Plan) rollbackDuring(active *Refresh) (Plan, error) {
	o, v := p.Observation, p.Intent.Version
	switch {
	case !o.owned(active):
		f := foreignRefresh(active)
		f.Fix = "aws autoscaling rollback-instance-refresh or cancel-instance-refresh, then the same command again"
		return p, &Refused{Group: o.Group.Name, Findings: []Finding{f}}
	case o.Record.Kind == Rollback && (v == "" || v == o.Record.Version):
		p.Run, p.Intent = o.Lock.Run, p.Intent.of(o.Lock)
		p.waitIf(o.Held)
	default:
		p.Run, p.Undo = "", "wpbake rollback"
	}
	return p, nil
}

func (p *Plan) waitIf(busy bool) {
	if l := &p.Observation.Lock; busy {
		p.Wait = l
		p.Steps = append([]string{fmt.Sprintf("wait: for %s (%s of %s, run %s)", l.Holder.Name, l.Kind, l.Version, l.Run)}, p.Steps...)
	}
}

// compatible adds what the database has against the code to come, and refuses
// it unless a person has accepted it.
func (p Plan) compatible() (Plan, error) {
	m := p.Observation.Move
	if m == nil || m.To == nil {
		return p, nil
	}
	p.Incompatibilities = database.Incompatibilities(*m)
	if m.Now != nil && m.To.DBVersion > m.Now.Schema && p.Intent.Kind == Release && len(p.Steps) > 0 {
		step := fmt.Sprintf("database: schema %d would become %d once every node is proven", m.Now.Schema, m.To.DBVersion)
		if p.Observation.Saves {
			step += ", after saving it"
		}
		p.Steps = append(p.Steps, step)
	}
	if len(database.Blocking(p.Incompatibilities)) > 0 && !p.Intent.AcceptIncompatible {
		return p, &Incompatible{Group: p.Observation.Group.Name, Kind: p.Intent.Kind, Version: p.Intent.Version, Incompatibilities: p.Incompatibilities}
	}
	return p, nil
}

func (o Observation) releaseSteps(in Intent) []string {
	var steps []string
	for _, t := range o.Group.Templates {
		steps = append(steps, fmt.Sprintf("template: %s would get a version, a copy of %s that pins %s", t.ID, t.Version, in.Manifest.Short()))
	}
	before := artifact.Version("what runs now")
	if pin, ok := o.served(); ok {
		before = pin.Version
	}
	return append(steps, fmt.Sprintf("refresh: %s of %s would be replaced; a bad first node goes back to %s", countNodes(o.Group.Desired), o.Group.Name, before))
}

// wayBack chooses what to go back to: the saved version first when the fleet
// is not on it, as after a refresh that somebody cancelled.
func (o Observation) wayBack(v artifact.Version) (target ProvenRelease, leaving string, err error) {
	pin, _ := o.served()
	leaving = cmp.Or(string(pin.Version), "what runs now")
	if o.provenErr != nil {
		return target, leaving, o.provenErr
	}
	if v != "" {
		t, ok := o.Proven.Find(v)
		if !ok {
			return t, leaving, &NotProven{Group: o.Group.Name, Version: v, Proven: o.Proven.versions()}
		}
		return t, leaving, nil
	}
	i := slices.IndexFunc(o.Proven.Releases, func(r ProvenRelease) bool { return r.Manifest == pin.Manifest })
	if i >= 0 && len(unproven(o.State, o.Group.Templates)) > 0 {
		return o.Proven.Releases[i], "a mixed fleet", nil
	}
	t, ok := o.Proven.Previous(pin.Manifest)
	if !ok {
		return t, leaving, &NotProven{Group: o.Group.Name, Proven: o.Proven.versions()}
	}
	return t, leaving, nil
}

// record is what a run that begins writes first. What the group has now is the
// way back, and a refresh that is newer than the newest one is the run's.
func (p Plan) record(l Lock, base Record) Record {
	base.Format, base.Run, base.Kind = 1, l.Run, l.Kind
	base.Version, base.Manifest = l.Version, l.Manifest
	base.Base, base.Last = p.Observation.Group.Templates, p.Observation.newest()
	base.Image, base.Volume = p.Intent.Baked.Image, p.Intent.Baked.Volume
	if p.Target != nil {
		base.Templates = p.Target.Templates
		base.Steps = []StepTime{{Step: StepTemplate, Time: base.Started}}
	}
	if m := p.Observation.Move; m != nil && m.To != nil {
		base.Database, base.Code = m.Now, m.To.DBVersion
		base.Incompatibilities = p.Incompatibilities
		base.Accepted = len(database.Blocking(p.Incompatibilities)) > 0
	}
	return base
}

func countNodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
