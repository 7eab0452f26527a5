package rollout

import (
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout/userdata"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Observation is the group, the store and, where it was asked, the database at
// one moment. Whatever is decided is decided from one.
type Observation struct {
	State // as the run sees it that the lock names

	Lock       Lock // zero when there never was one
	LockETag   string
	lockErr    error // why it could not be read, which stops all but a rollback
	RecordETag string
	group      string
	Held       bool      // another live process holds the lock
	Refreshes  []Refresh // newest first
	Proven     Proven
	provenErr  error // why it could not be read, which is in the way only of who goes by it

	Saved  map[TemplateRef]TemplateVersion // of the group's templates; absent: it does not exist
	Denied []TemplateRef                   // templates that these credentials may add no version to
	Watch  []string                        // alarms that the release is to watch
	Alarms map[string]string               // their states; absent: there is none of that name

	Move     *database.Move // from what runs to what is to come; nil: not asked
	Saves    bool           // the database can be saved before its schema changes
	Findings []Finding      // what stands in the way of a release, those that block first
}

// open reports whether the run in the lock has no outcome yet.
func (o Observation) open() bool { return o.Lock.Run != "" && o.Record.Outcome == "" }

// joins reports whether an intent is that of the run in the lock, which is not
// finished or about to be.
func (o Observation) joins(in Intent) bool {
	return in.Version != "" && in.same(o.Lock) && (o.open() || o.Held)
}

// active is the group's active refresh, whoever started it.
func (o Observation) active() *Refresh {
	i := slices.IndexFunc(o.Refreshes, Refresh.Active)
	if i < 0 {
		return nil
	}
	return &o.Refreshes[i]
}

// owned reports whether an active refresh is that of the run in the lock.
func (o Observation) owned(active *Refresh) bool {
	return active != nil && o.Lock.Run != "" && o.Record.owns(*active)
}

// newest is the id of the newest refresh, empty when there was none.
func (o Observation) newest() string {
	if len(o.Refreshes) == 0 {
		return ""
	}
	return o.Refreshes[0].ID
}

// upToDate is the result for a group whose every node is proven on what an
// intent asks for, with no refresh active.
func (o Observation) upToDate(in Intent) (Result, bool) {
	pin, ok := o.served()
	if !ok || o.active() != nil || pin.Manifest != in.Manifest || len(unproven(o.State, o.Group.Templates)) > 0 || !o.carries(in, pin) {
		return Result{}, false
	}
	return Result{
		Outcome: UpToDate, Kind: in.Kind, Group: o.Group.Name, Run: pin.Run, Version: in.Version, Manifest: in.Manifest,
		Templates: o.Group.Templates, Serving: pin.Version, Nodes: provenNodes(o.Group),
	}, true
}

// carries tells whether the saved template version has the content that was
// baked; an intent that bakes nothing is content with any.
func (o Observation) carries(in Intent, pin userdata.Boot) bool {
	want := in.Baked
	if want.Volume != nil && want.Volume.Snapshot != pin.Volume {
		return false
	}
	return want.Image == "" || o.Saved[o.Group.Templates[0]].ImageID == want.Image
}

// Status is what a group runs, saves and waits for.
type Status struct {
	Group    string           `json:"group"`
	Desired  int              `json:"desired"`
	Version  artifact.Version `json:"version,omitempty"` // what the saved template version pins
	Manifest artifact.Digest  `json:"manifest,omitempty"`
	Saved    []TemplateRef    `json:"saved"`
	Proven   bool             `json:"proven"` // every node reported what the saved version pins
	Missing  []string         `json:"missing,omitempty"`
	Nodes    []NodeView       `json:"nodes"`
	Refresh  *RefreshView     `json:"refresh,omitempty"` // the active one, whoever started it
	Foreign  bool             `json:"foreign,omitempty"` // it is not wpbake's
	Lock     *Lock            `json:"lock,omitempty"`    // when held or unfinished
	Releases []ProvenRelease  `json:"releases,omitempty"`
}

// Status is the part of an observation that people ask for.
func (o Observation) Status() Status {
	st := Status{Group: o.Group.Name, Desired: o.Group.Desired, Saved: o.Group.Templates, Nodes: nodeViews(o.State), Releases: o.Proven.Releases}
	if pin, ok := o.served(); ok {
		st.Version, st.Manifest = pin.Version, pin.Manifest
	}
	st.Missing = unproven(o.State, o.Group.Templates)
	st.Proven = len(st.Missing) == 0
	if active := o.active(); active != nil {
		v := active.view()
		st.Refresh, st.Foreign = &v, !o.owned(active)
	}
	if o.open() || o.Lock.Run != "" && !o.Lock.Expires.IsZero() {
		st.Lock = &o.Lock
	}
	return st
}
