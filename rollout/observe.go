package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

// observer looks at AWS and the store. It keeps between looks only what
// cannot change (what a numbered template version pins, a report of a known
// revision) and how often in a row a target was unhealthy.
type observer struct {
	b         *Engine
	pins      map[TemplateRef]*Boot // nil: known to pin nothing
	made      []TemplateRef         // by the run of this process, not yet in its record
	reports   map[string]seenReport
	unhealthy map[string]int
}

type seenReport struct {
	etag   string
	report node.Report
}

func (b *Engine) observer() *observer {
	return &observer{b: b, pins: map[TemplateRef]*Boot{}, reports: map[string]seenReport{}, unhealthy: map[string]int{}}
}

// observe observes the group for the run of rec.
func (o *observer) observe(ctx context.Context, rec Record) (State, error) {
	cloud := o.b.o.Cloud
	g, err := cloud.Groups.Group(ctx, o.b.o.Group)
	if err != nil {
		return State{}, err
	}
	s := State{
		Now: time.Now(), Group: g, Record: rec,
		Limits: Limits{FirstNode: o.b.o.FirstNode, Settle: o.b.o.Settle}, Asks: o.b.o.Site != nil,
	}
	refreshes, err := cloud.Refreshes.Refreshes(ctx, g.Name)
	if err != nil {
		return State{}, err
	}
	s.Templates = o.templates(rec)
	found := rec
	found.Templates = s.Templates
	s.Refresh = found.find(refreshes)
	for i, r := range refreshes {
		if r.Active() && (s.Refresh == nil || r.ID != s.Refresh.ID) {
			s.Foreign = &refreshes[i]
			break
		}
	}
	return o.fleet(ctx, s)
}

// fleet adds what runs: pins, reports, target health and, until a new node has
// proven itself, the launches that failed.
func (o *observer) fleet(ctx context.Context, s State) (State, error) {
	var err error
	if s.Pins, err = o.pinsOf(ctx, s); err != nil {
		return State{}, err
	}
	if s.Reports, err = o.reportsOf(ctx, s); err != nil {
		return State{}, err
	}
	if s.Targets, err = o.targetsOf(ctx, s.Group); err != nil {
		return State{}, err
	}
	s.Unhealthy = o.countUnhealthy(s)
	if good, _ := newReports(s); s.Refresh != nil && s.Refresh.Active() && len(good) == 0 {
		since := s.Record.Started
		if !s.Refresh.Started.IsZero() {
			since = s.Refresh.Started
		}
		if s.Activities, err = o.b.o.Cloud.Groups.Activities(ctx, s.Group.Name, since); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// templates returns the run's template versions, one per template of the
// group, without a number where none is known to be as it was asked for.
func (o *observer) templates(rec Record) []TemplateRef {
	if len(rec.Templates) > 0 {
		return rec.Templates
	}
	refs := make([]TemplateRef, len(rec.Base))
	for i, base := range rec.Base {
		refs[i] = TemplateRef{ID: base.ID, Name: base.Name}
		for _, made := range o.made {
			if made.ID == base.ID {
				refs[i] = made
			}
		}
	}
	return refs
}

// describe is a template version's description: what the version pins and
// which run made it. AWS cannot tag versions.
func describe(r Record) string {
	return fmt.Sprintf("wpbake %s %s run=%s", r.Version, r.Manifest, r.Run)
}

func (o *observer) pinsOf(ctx context.Context, s State) (map[TemplateRef]Boot, error) {
	refs := slices.Concat(s.Record.Base, s.Templates, s.Group.Templates)
	for _, n := range s.Group.Nodes {
		refs = append(refs, n.Template)
	}
	pins, gone := map[TemplateRef]Boot{}, map[TemplateRef]bool{}
	for _, ref := range refs {
		if ref.Version == "" || strings.HasPrefix(ref.Version, "$") || gone[ref] {
			continue
		}
		p, known := o.pins[ref]
		if !known {
			var err error
			p, err = o.readPin(ctx, ref)
			if errors.Is(err, ErrNoTemplate) {
				gone[ref] = true // until the next look: EC2 can be late to show what was just made
				continue
			}
			if err != nil {
				return nil, err
			}
			o.pins[ref] = p
		}
		if p != nil {
			pins[ref] = *p
		}
	}
	return pins, nil
}

// readPin returns nil for a template version that pins nothing of wpbake's.
func (o *observer) readPin(ctx context.Context, ref TemplateRef) (*Boot, error) {
	v, err := o.b.o.Cloud.Templates.Version(ctx, ref)
	if err != nil {
		return nil, err
	}
	boot, ok := ParseBoot(v.UserData)
	if !ok || boot.Group != o.b.o.Group {
		return nil, nil
	}
	return &boot, nil
}

// reportsOf reads the boot reports of every run that nodes of the group were
// pinned to, and of the run itself, whose bad nodes are soon gone.
func (o *observer) reportsOf(ctx context.Context, s State) (map[string]node.Report, error) {
	runs := []string{s.Record.Run, s.runOfTarget()}
	for _, n := range s.Group.Nodes {
		if p, ok := s.pin(n.Template); ok {
			runs = append(runs, p.Run)
		}
	}
	slices.Sort(runs)
	reports := map[string]node.Report{}
	for _, run := range slices.Compact(runs) {
		if run == "" {
			continue
		}
		prefix := artifact.RolloutPrefix(o.b.o.Group) + run + "/nodes/"
		stats, err := o.b.o.Store.List(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, st := range stats {
			r, err := o.report(ctx, st)
			if err != nil {
				return nil, err
			}
			r.Run = run // a report counts where it stands
			if old, ok := reports[r.Instance]; !ok || old.Finished.Before(r.Finished) {
				reports[r.Instance] = r
			}
		}
	}
	return reports, nil
}

func (o *observer) report(ctx context.Context, st artifact.Stat) (node.Report, error) {
	if seen, ok := o.reports[st.Name]; ok && seen.etag == st.ETag {
		return seen.report, nil
	}
	obj, err := o.b.o.Store.Get(ctx, st.Name, 0, -1)
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
	o.reports[st.Name] = seenReport{etag: st.ETag, report: r}
	return r, nil
}

func (o *observer) targetsOf(ctx context.Context, g Group) (map[string][]Target, error) {
	byNode := map[string][]Target{}
	for _, arn := range g.TargetGroups {
		targets, err := o.b.o.Cloud.Fleet.Targets(ctx, arn)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			byNode[t.ID] = append(byNode[t.ID], t)
		}
	}
	return byNode, nil
}

func (o *observer) countUnhealthy(s State) map[string]int {
	counts := map[string]int{}
	for _, n := range s.Group.Nodes {
		for _, t := range s.Targets[n.ID] {
			if t.State == "unhealthy" {
				counts[n.ID] = o.unhealthy[n.ID] + 1
			}
		}
	}
	o.unhealthy = counts
	return counts
}

// activeRefresh is the group's active refresh, whoever started it.
func (b *Engine) activeRefresh(ctx context.Context) (*Refresh, error) {
	refreshes, err := b.o.Cloud.Refreshes.Refreshes(ctx, b.o.Group)
	if err != nil {
		return nil, err
	}
	for i, r := range refreshes {
		if r.Active() {
			return &refreshes[i], nil
		}
	}
	return nil, nil
}

func (b *Engine) docs() documents { return documents{store: b.o.Store, group: b.o.Group} }
