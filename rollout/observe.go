package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
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
	compared  comparison // the last one
}

func newObserver(o *Options) *observer {
	return &observer{
		o: o, docs: documents{store: o.Store, group: o.Group},
		pins:      pins{templates: o.Cloud.Templates, group: o.Group, known: map[TemplateRef]*userdata.Boot{}},
		reports:   reports{store: o.Store, group: o.Group, seen: map[string]seenReport{}},
		unhealthy: map[string]int{},
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
	o := Observation{Saves: b.o.Snapshot != nil}
	g, err := b.o.Cloud.Groups.Group(ctx, b.o.Group)
	if err != nil {
		return o, err
	}
	// Before the record, which names a refresh's templates before it starts:
	// the other way round a run's own refresh could look like somebody else's.
	if o.Refreshes, err = b.o.Cloud.Refreshes.Refreshes(ctx, g.Name); err != nil {
		return o, err
	}
	if o.Lock, o.LockETag, err = b.docs.lock(ctx); err != nil {
		return o, err
	}
	o.Held = b.held(o.Lock)
	if run := cmp.Or(run, o.Lock.Run); run != "" {
		if o.Record, o.RecordETag, err = b.docs.record(ctx, run); err != nil {
			return o, err
		}
	}
	o.Proven, o.provenErr = b.docs.proven(ctx)
	if o.Saved, err = b.pins.saved(ctx, g.Templates); err != nil {
		return o, err
	}
	o.State, err = b.state(ctx, g, o.Refreshes, o.Record)
	return o, err
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

// pins reads what template versions pin. A numbered version never changes.
type pins struct {
	templates Templates
	group     string
	known     map[TemplateRef]*userdata.Boot // nil: known to pin nothing of this group's
	fresh     map[TemplateRef]error          // read in this observation: nil, or that it does not exist
}

// begin forgets what another observation has seen of versions: one can be
// deleted, and EC2 can be late to show what was just made.
func (p *pins) begin() { p.fresh = map[TemplateRef]error{} }

// saved reads the versions that a group has saved, anew in each observation:
// one that was deleted is the base of nothing.
func (p *pins) saved(ctx context.Context, refs []TemplateRef) (map[TemplateRef]TemplateVersion, error) {
	found := map[TemplateRef]TemplateVersion{}
	for _, ref := range refs {
		if _, asked := p.fresh[ref]; asked {
			continue
		}
		v, err := p.read(ctx, ref)
		if errors.Is(err, ErrNoTemplate) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[ref] = v
	}
	return found, nil
}

func (p *pins) read(ctx context.Context, ref TemplateRef) (TemplateVersion, error) {
	v, err := p.templates.Version(ctx, ref)
	if errors.Is(err, ErrNoTemplate) {
		p.fresh[ref] = err
	}
	if err != nil {
		return v, err
	}
	p.fresh[ref], p.fresh[v.TemplateRef] = nil, nil
	boot, ok := userdata.ParseBoot(v.UserData)
	p.known[v.TemplateRef] = nil
	if ok && boot.Group == p.group {
		p.known[v.TemplateRef] = &boot
	}
	return v, nil
}

// exists is nil for a version that this observation has seen or sees now.
func (p *pins) exists(ctx context.Context, ref TemplateRef) error {
	for seen, err := range p.fresh {
		if seen.same(ref) {
			return err
		}
	}
	_, err := p.read(ctx, ref)
	return err
}

// of reads what the template versions pin that a state has to do with.
func (p *pins) of(ctx context.Context, s State) (map[TemplateRef]userdata.Boot, error) {
	refs := slices.Concat(s.Record.Base, s.Templates, s.Group.Templates)
	for _, n := range s.Group.Nodes {
		refs = append(refs, n.Template)
	}
	pinned := map[TemplateRef]userdata.Boot{}
	for _, ref := range refs {
		if ref.Version == "" || strings.HasPrefix(ref.Version, "$") {
			continue
		}
		boot, err := p.boot(ctx, ref)
		if err != nil {
			return nil, err
		}
		if boot != nil {
			pinned[ref] = *boot
		}
	}
	return pinned, nil
}

// boot is what a version pins, nil for nothing of this group's or when it does
// not exist.
func (p *pins) boot(ctx context.Context, ref TemplateRef) (*userdata.Boot, error) {
	if boot, known := p.lookup(ref); known {
		return boot, nil
	}
	err := p.exists(ctx, ref)
	if errors.Is(err, ErrNoTemplate) {
		return nil, nil
	}
	boot, _ := p.lookup(ref)
	return boot, err
}

func (p *pins) lookup(ref TemplateRef) (boot *userdata.Boot, known bool) {
	if boot, known = p.known[ref]; known {
		return boot, true
	}
	for other, boot := range p.known {
		if other.same(ref) {
			return boot, true
		}
	}
	return nil, false
}

// reports reads what nodes wrote about their boots.
type reports struct {
	store artifact.Store
	group string

	mu   sync.Mutex
	seen map[string]seenReport // by name
}

type seenReport struct {
	etag   string
	report node.Report
}

// reportsAtOnce bounds the reports that are read side by side.
const reportsAtOnce = 16

// of reads the boot reports of every run that nodes of the group were pinned
// to, and of the run itself, whose bad nodes are soon gone.
func (p *reports) of(ctx context.Context, s State) (map[string]node.Report, error) {
	runs := []string{s.Record.Run, s.runOfTarget()}
	for _, n := range s.Group.Nodes {
		if pin, ok := s.pin(n.Template); ok {
			runs = append(runs, pin.Run)
		}
	}
	slices.Sort(runs)
	newest := map[string]node.Report{}
	for _, run := range slices.Compact(runs) {
		if run == "" {
			continue
		}
		found, err := p.ofRun(ctx, run)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			r.Run = run // a report counts where it stands
			if old, ok := newest[r.Instance]; !ok || old.Finished.Before(r.Finished) {
				newest[r.Instance] = r
			}
		}
	}
	return newest, nil
}

func (p *reports) ofRun(ctx context.Context, run string) ([]node.Report, error) {
	stats, err := p.store.List(ctx, artifact.RolloutPrefix(p.group)+run+"/nodes/")
	if err != nil {
		return nil, err
	}
	found := make([]node.Report, len(stats))
	side, ctx := errgroup.WithContext(ctx)
	side.SetLimit(reportsAtOnce)
	for i, st := range stats {
		side.Go(func() (err error) {
			found[i], err = p.read(ctx, st)
			return err
		})
	}
	return found, side.Wait()
}

func (p *reports) read(ctx context.Context, st artifact.Stat) (node.Report, error) {
	p.mu.Lock()
	seen, ok := p.seen[st.Name]
	p.mu.Unlock()
	if ok && seen.etag == st.ETag {
		return seen.report, nil
	}
	obj, err := p.store.Get(ctx, st.Name, 0, -1)
	if err != nil {
		return node.Report{}, err
	}
	defer obj.Close()
	b, err := io.ReadAll(io.LimitReader(obj, documentLimit))
	if err != nil {
		return node.Report{}, fmt.Errorf("reading %q: %w", st.Name, err)
	}
	var r node.Report
	if err := json.Unmarshal(b, &r); err != nil || !strings.HasSuffix(st.Name, "/"+r.Instance+".json") {
		// A node that writes nonsense has proven nothing; it must not stop
		// the run that is about to roll it back.
		name := st.Name[strings.LastIndexByte(st.Name, '/')+1:]
		r = node.Report{Instance: strings.TrimSuffix(name, ".json"), Verdict: node.Bad, Stage: "report", Cause: "its boot report cannot be read"}
	}
	p.mu.Lock()
	p.seen[st.Name] = seenReport{etag: st.ETag, report: r}
	p.mu.Unlock()
	return r, nil
}
