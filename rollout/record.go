package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Lock is the group's lock document. It is never deleted, so that its fencing
// number only grows; a free lock has no expiry.
type Lock struct {
	Format    int              `json:"format"`
	Fence     int64            `json:"fence"` // grows with every change of hands
	Run       string           `json:"run"`
	Kind      Kind             `json:"kind"`
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Holder    owner.Holder     `json:"holder"`
	Heartbeat time.Time        `json:"heartbeat"`
	Expires   time.Time        `json:"expires,omitzero"` // zero: free
	Note      string           `json:"note,omitempty"`   // who was superseded, and why
}

// Record is one run's written progress.
type Record struct {
	Format    int              `json:"format"`
	Run       string           `json:"run"`
	Kind      Kind             `json:"kind"`
	Group     string           `json:"group"`
	Store     string           `json:"store"`
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Base      []TemplateRef    `json:"base"`           // saved on the group when the run began
	Last      string           `json:"last,omitempty"` // newest refresh when the run began: ours is newer
	Templates []TemplateRef    `json:"templates,omitempty"`
	Image     string           `json:"image,omitempty"`  // AMI that the template versions launch; empty: the base's
	Volume    *Volume          `json:"volume,omitempty"` // release volume that they attach; nil for none
	Refresh   string           `json:"refresh,omitempty"`
	Steps     []StepTime       `json:"steps"`
	Outcome   Outcome          `json:"outcome,omitempty"`
	Cause     string           `json:"cause,omitempty"`
	BadNode   string           `json:"bad_node,omitempty"`
	Undo      string           `json:"undo,omitempty"` // why a person wants the release turned back

	Code              int                        `json:"code,omitempty"`     // schema that the release is for
	Database          *database.State            `json:"database,omitempty"` // as it was when the run began
	Incompatibilities []database.Incompatibility `json:"incompatibilities,omitempty"`
	Accepted          bool                       `json:"accepted,omitempty"` // a person accepted those that block
	Snapshot          string                     `json:"snapshot,omitempty"` // of the database, before the schema step
	Schema            *SchemaChange              `json:"schema,omitempty"`

	Holder  owner.Holder `json:"holder"`
	Started time.Time    `json:"started"`
	Ended   time.Time    `json:"ended,omitzero"`
}

// StepTime is a step and when it was finished.
type StepTime struct {
	Step Step      `json:"step"`
	Time time.Time `json:"time"`
}

// Has reports whether the step was finished.
func (r Record) Has(s Step) bool {
	for _, st := range r.Steps {
		if st.Step == s {
			return true
		}
	}
	return false
}

// contradiction says in what a record is not of the run that a lock names;
// empty for nothing. Whoever can write the bucket can write both: what they do
// not agree on, neither decides.
func (r Record) contradiction(l Lock, group string) string {
	for _, field := range []struct{ name, says, want string }{
		{"run", r.Run, l.Run}, {"group", r.Group, group}, {"kind", string(r.Kind), string(l.Kind)},
		{"version", string(r.Version), string(l.Version)}, {"manifest", string(r.Manifest), string(l.Manifest)},
	} {
		if field.says != field.want {
			return fmt.Sprintf("its %s is %q, the lock's %q", field.name, field.says, field.want)
		}
	}
	return ""
}

// owns reports whether the refresh is this run's: by its id and what it
// refreshes to, or when the answer that carried the id was lost, by the latter.
func (r Record) owns(f Refresh) bool {
	if r.Refresh != "" {
		return f.ID == r.Refresh && (len(r.Templates) == 0 || len(f.Templates) == 0 || sameTemplates(f.Templates, r.Templates))
	}
	return f.ID != r.Last && len(r.Templates) > 0 && sameTemplates(f.Templates, r.Templates)
}

// find returns this run's refresh among the group's, newest first.
func (r Record) find(refreshes []Refresh) *Refresh {
	for i, f := range refreshes {
		if r.owns(f) {
			return &refreshes[i]
		}
		if f.ID == r.Last {
			break
		}
	}
	return nil
}

// sameTemplates compares two sets of template versions, in any order.
func sameTemplates(a, b []TemplateRef) bool {
	if len(a) != len(b) {
		return false
	}
	for _, t := range a {
		if !slices.ContainsFunc(b, t.same) {
			return false
		}
	}
	return true
}

// same compares by id where both have one: AWS echoes what it was sent.
func (t TemplateRef) same(o TemplateRef) bool {
	if t.ID != "" && o.ID != "" {
		return t.ID == o.ID && t.Version == o.Version
	}
	return t.Name == o.Name && t.Version == o.Version
}

// Proven is the list of releases that have passed a whole refresh of the
// group, newest first.
type Proven struct {
	Format   int             `json:"format"`
	Releases []ProvenRelease `json:"releases"`
}

// ProvenRelease is a release that can be gone back to.
type ProvenRelease struct {
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Run       string           `json:"run"` // whose template versions and boot reports these are
	Templates []TemplateRef    `json:"templates"`
	Proven    time.Time        `json:"proven"`
	Withdrawn time.Time        `json:"withdrawn,omitzero"` // when a rollback left it; a rollback without a version skips it
}

// Previous returns the newest release other than current that was not
// withdrawn.
func (p Proven) Previous(current artifact.Digest) (ProvenRelease, bool) {
	for _, r := range p.Releases {
		if r.Manifest != current && r.Withdrawn.IsZero() {
			return r, true
		}
	}
	return ProvenRelease{}, false
}

// Find returns the newest entry of a version.
func (p Proven) Find(v artifact.Version) (ProvenRelease, bool) {
	for _, r := range p.Releases {
		if r.Version == v {
			return r, true
		}
	}
	return ProvenRelease{}, false
}

// with puts r first and drops older entries of the same content.
func (p Proven) with(r ProvenRelease) Proven {
	out := Proven{Format: 1, Releases: []ProvenRelease{r}}
	for _, old := range p.Releases {
		if old.Manifest != r.Manifest {
			out.Releases = append(out.Releases, old)
		}
	}
	return out
}

// withdrawing marks every entry of a content as left by a rollback.
func (p Proven) withdrawing(d artifact.Digest, now time.Time) Proven {
	out := Proven{Format: 1}
	for _, r := range p.Releases {
		if r.Manifest == d {
			r.Withdrawn = now
		}
		out.Releases = append(out.Releases, r)
	}
	return out
}

func (p Proven) versions() []artifact.Version {
	var vs []artifact.Version
	for _, r := range p.Releases {
		vs = append(vs, r.Version)
	}
	return vs
}
