package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

// serving is a group whose three nodes are proven on v41, with v40 to go back
// to and nobody at work.
func serving() Observation {
	s := releasing(0)
	s.Record = Record{Format: 1, Run: "R41", Kind: Release, Version: "v41", Manifest: oldSum, Outcome: Released}
	s.Refresh, s.Templates = nil, nil
	return Observation{
		State: s,
		Lock:  Lock{Format: 1, Fence: 3, Run: "R41", Kind: Release, Version: "v41", Manifest: oldSum},
		Saved: map[TemplateRef]TemplateVersion{base: {TemplateRef: base, ImageID: "ami-1"}},
		Refreshes: []Refresh{
			{ID: "r-0", Status: statusSuccessful, Templates: []TemplateRef{base}},
		},
		Proven: Proven{Format: 1, Releases: []ProvenRelease{
			{Version: "v41", Manifest: oldSum, Templates: []TemplateRef{base}},
			{Version: "v40", Manifest: artifact.DigestOf([]byte("v40")), Run: "R40", Templates: []TemplateRef{{ID: "lt-1", Version: "3"}}},
		}},
	}
}

// by is the run of v42 that somebody began and that has no outcome.
func (o *Observation) by(kind Kind, held bool) {
	o.Held = held
	o.Lock = Lock{Format: 1, Fence: 4, Run: "R42", Kind: kind, Version: "v42", Manifest: newSum}
	if held {
		o.Lock.Expires = o.Now.Add(time.Minute)
	}
	o.Record = releasing(0).Record
	o.Record.Kind = kind
}

// refreshing is the refresh of that run.
func (o *Observation) refreshing() {
	o.Refreshes = append([]Refresh{{ID: "r-1", Status: "InProgress", Templates: []TemplateRef{target}}}, o.Refreshes...)
}

func TestPlan(t *testing.T) {
	foreign := Refresh{ID: "r-9", Status: "InProgress"}
	blocked := Finding{ID: "size/max", Blocks: true, Text: "no room", Fix: "make room"}
	older := &database.Move{
		From: &artifact.WordPress{Core: "6.8", DBVersion: 60421}, To: &artifact.WordPress{Core: "6.1", DBVersion: 53496},
		Now: &database.State{Schema: 60421, Users: 12, NewHashes: 3},
	}
	v41, v42 := Intent{Kind: Release, Version: "v41", Manifest: oldSum}, Intent{Kind: Release, Version: "v42", Manifest: newSum}
	with := func(in Intent, change func(*Intent)) Intent { change(&in); return in }
	tests := []struct {
		name   string
		intent Intent
		change func(*Observation)
		want   string // what comes of it
	}{
		{"a release", v42, nil, "begins v42"},
		{"what runs already", v41, nil, "up to date"},
		{"what runs, on a node that is not proven", v41, func(o *Observation) { delete(o.Reports, "i-old1") }, "begins v41"},
		{"what runs, baked into another image", with(v41, func(in *Intent) { in.Baked.Image = "ami-2" }), nil, "begins v41"},
		{"a blocked group", v42, func(o *Observation) { o.Findings = []Finding{blocked} }, "refused: no room"},
		{"a finding that blocks nothing", v42, func(o *Observation) { o.Findings = []Finding{{ID: "health/ec2-only"}} }, "begins v42"},
		{"not built yet", Intent{Kind: Release, Version: "v42"}, nil, "begins v42"},
		{"held by another version", Intent{Kind: Release, Version: "v43"}, func(o *Observation) { o.by(Release, true) }, "busy R42"},
		{"held by another version, waiting", with(v41, func(in *Intent) { in.OnBusy = Wait }), func(o *Observation) { o.by(Release, true) }, "waits for R42, begins v41"},
		{"held by the same version", v42, func(o *Observation) { o.by(Release, true) }, "waits for R42, goes on with R42"},
		{"held by the same version, whose run has just ended", v42, func(o *Observation) { o.by(Release, true); o.Record.Outcome = Released }, "waits for R42, goes on with R42"},
		{"left by the same version, whatever the group looks like", v42, func(o *Observation) { o.by(Release, false); o.Findings = []Finding{blocked} }, "goes on with R42"},
		{"left by the same version with other content", with(v42, func(in *Intent) { in.Manifest = oldSum }), func(o *Observation) { o.by(Release, false); o.refreshing() }, "unfinished R42"},
		{"left before its refresh", v41, func(o *Observation) { o.by(Release, false) }, "up to date"},
		{"left with its refresh", v41, func(o *Observation) { o.by(Release, false); o.refreshing() }, "unfinished R42"},
		{"left with its refresh, waiting", with(v41, func(in *Intent) { in.OnBusy = Wait }), func(o *Observation) { o.by(Release, false); o.refreshing() }, "waits for R42, begins v41"},
		{"left with its refresh, superseding", with(v41, func(in *Intent) { in.OnBusy = Supersede }), func(o *Observation) { o.by(Release, false); o.refreshing() }, "undoes, takes over, begins v41"},
		{"held, superseding", with(v41, func(in *Intent) { in.OnBusy = Supersede; in.Baked.Image = "ami-2" }), func(o *Observation) { o.by(Release, true) }, "takes over, begins v41"},
		{"an older core", v42, func(o *Observation) { o.Move = older }, "incompatible X03 S02"},
		{"an older core, superseding", with(v42, func(in *Intent) { in.OnBusy = Supersede; in.Version = "v43" }), func(o *Observation) { o.by(Release, true); o.refreshing(); o.Move = older }, "incompatible X03 S02"},
		{"an older core, accepted", with(v42, func(in *Intent) { in.AcceptIncompatible = true }), func(o *Observation) { o.Move = older }, "begins v42"},

		{"a rollback", Intent{Kind: Rollback}, nil, "takes over, begins v40"},
		{"a rollback by name", Intent{Kind: Rollback, Version: "v40"}, nil, "takes over, begins v40"},
		{"a rollback to what never passed", Intent{Kind: Rollback, Version: "v42"}, nil, "not proven"},
		{"a rollback of a blocked group", Intent{Kind: Rollback}, func(o *Observation) { o.Findings = []Finding{blocked} }, "takes over, begins v40"},
		{"a rollback from whoever holds the lock", Intent{Kind: Rollback}, func(o *Observation) { o.by(Release, true) }, "takes over, begins v40"},
		{"a rollback during a release", Intent{Kind: Rollback}, func(o *Observation) { o.by(Release, true); o.refreshing() }, "undoes"},
		{"a rollback during the same rollback", Intent{Kind: Rollback}, func(o *Observation) { o.by(Rollback, false); o.refreshing() }, "goes on with R42"},
		{"a rollback during another rollback", Intent{Kind: Rollback, Version: "v40"}, func(o *Observation) { o.by(Rollback, false); o.refreshing() }, "undoes"},
		{"a rollback during somebody else's refresh", Intent{Kind: Rollback}, func(o *Observation) { o.Refreshes = []Refresh{foreign} }, "refused: instance refresh r-9"},
		{"a rollback over an incompatibility", Intent{Kind: Rollback}, func(o *Observation) { o.Move = older; o.Move.Back = true }, "incompatible X03 S02"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := serving()
			if tt.change != nil {
				tt.change(&o)
			}
			p, err := o.Plan(tt.intent)
			if got := outcomeOf(p, err); !strings.HasPrefix(got, tt.want) || len(got) > len(tt.want) && !strings.HasPrefix(tt.want, "refused") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if again, _ := o.Plan(tt.intent); !slices.Equal(again.Steps, p.Steps) {
				t.Errorf("the same observation made %q, then %q", p.Steps, again.Steps)
			}
		})
	}
}

func outcomeOf(p Plan, err error) string {
	var (
		refused      *Refused
		busy         *Busy
		unfinished   *Unfinished
		incompatible *Incompatible
		unproven     *NotProven
	)
	switch {
	case errors.As(err, &refused):
		return "refused: " + refused.Findings[0].Text
	case errors.As(err, &busy):
		return "busy " + busy.Lock.Run
	case errors.As(err, &unfinished):
		return "unfinished " + unfinished.Lock.Run
	case errors.As(err, &unproven):
		return "not proven"
	case errors.As(err, &incompatible):
		text := "incompatible"
		for _, i := range incompatible.Incompatibilities {
			text += " " + i.ID
		}
		return text
	case err != nil:
		return err.Error()
	case p.UpToDate != nil:
		return "up to date"
	}
	var does []string
	if p.Wait != nil {
		does = append(does, "waits for "+p.Wait.Run)
	}
	if p.Undo != "" {
		does = append(does, "undoes")
	}
	if p.takeover != "" {
		does = append(does, "takes over")
	}
	switch {
	case p.Run != "":
		does = append(does, "goes on with "+p.Run)
	case p.Undo == "" || p.takeover != "":
		does = append(does, "begins "+string(p.Intent.Version))
	}
	return strings.Join(does, ", ")
}

// What a run starts from is the group as it was observed, not as it was asked
// for.
func TestPlanRecord(t *testing.T) {
	o := serving()
	p, err := o.Plan(Intent{Kind: Rollback})
	if err != nil {
		t.Fatal(err)
	}
	rec := p.record(Lock{Run: "R43", Kind: Rollback, Version: p.Intent.Version, Manifest: p.Intent.Manifest}, Record{Started: epoch})
	if rec.Last != "r-0" || !sameTemplates(rec.Base, []TemplateRef{base}) || !rec.Has(StepTemplate) || rec.Templates[0].Version != "3" {
		t.Errorf("%+v", rec)
	}
}
