// Package rollout releases a published version to an Auto Scaling group and
// proves what came of it.
//
// A release is a loop: observe the group and the store, ask the pure planner
// [Next] for the next step, perform it, observe again. Nothing is remembered
// between rounds but what stands in the store's record, so a run that was
// killed is continued by the same command. The package knows the order of
// things, when a new node is good or bad, and what counts as proof. It does
// not know AWS's SDK (package internal/aws adapts it), Packer or terminals.
package rollout

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Options make an Engine. Zero durations mean the defaults named here.
type Options struct {
	Cloud    Cloud
	Store    artifact.Store
	StoreURL string // as nodes open it, such as s3://bucket/prefix
	Group    string

	Refresh   RefreshOptions
	FirstNode time.Duration // how long the first new node may take to prove itself; 15 minutes
	Settle    time.Duration // how long the proof may lag behind the refresh; 5 minutes
	Poll      time.Duration // between looks; 10 seconds
	Lease     time.Duration // of the lock, renewed all the time; 2 minutes
	OnBusy    OnBusy        // zero means Fail
	Detach    bool          // return once the refresh has started
	Baked     Baked         // what a release's template versions carry

	Site               Site                                                // reaches the database; nil: nobody asks it
	AcceptIncompatible bool                                                // go ahead although the database cannot go back with the code
	Snapshot           func(ctx context.Context, r Record) (string, error) // saves the database before a schema step and names what it made; may be nil

	Holder owner.Holder            // who takes the lock
	Alive  func(owner.Holder) bool // false only when that holder is surely gone; nil: nobody is known to be gone

	Events    func(Event) // told of each change, in order; may be nil
	AfterStep func(Step)  // called once a step stands in the store; may be nil
}

// RefreshOptions override what a release chooses by the group's size. The zero
// value of a field means: choose.
type RefreshOptions struct {
	MinHealthy      int
	MaxHealthy      int
	Warmup          *time.Duration
	BakeTime        *time.Duration
	Checkpoints     []int
	CheckpointDelay time.Duration
	Alarms          []string
	Protected       string // Refresh, Ignore or Wait
	Standby         string // Terminate, Ignore or Wait
}

// OnBusy says what to do while another run holds the group.
type OnBusy string

// What a release does about another one.
const (
	Fail      OnBusy = "fail"      // refuse
	Wait      OnBusy = "wait"      // begin when it has ended
	Supersede OnBusy = "supersede" // take its lock over, roll its refresh back, then begin
)

// Step is a recorded step of a run, in this order.
type Step string

// The steps of a run.
const (
	StepLock     Step = "lock"     // the group's lock is ours
	StepRecord   Step = "record"   // the run's record exists
	StepTemplate Step = "template" // every template version exists
	StepRefresh  Step = "refresh"  // the refresh has started
	StepVerdict  Step = "verdict"  // the first new node was judged
	StepRollback Step = "rollback" // the refresh was told to go back
	StepSettled  Step = "settled"  // the refresh has ended
	StepProven   Step = "proven"   // the fleet was proven and the list of proven releases written
	StepSnapshot Step = "snapshot" // the database was saved
	StepSchema   Step = "schema"   // the database has followed, or need not
	StepDone     Step = "done"     // outcome written, lock free
)

// Outcome is how a run ended.
type Outcome string

// The outcomes of a run.
const (
	Released   Outcome = "released"    // refresh successful, every node proven
	UpToDate   Outcome = "up-to-date"  // nothing to do: every node was proven on it before
	Started    Outcome = "started"     // detached: the refresh goes on
	RolledBack Outcome = "rolled-back" // bad release; every node proven on what ran before
	Abandoned  Outcome = "abandoned"   // ended before it touched the group
	Unproven   Outcome = "unproven"    // needs a person
)

// Result is what a run has to say at its end.
type Result struct {
	Outcome           Outcome                    `json:"outcome"`
	Kind              Kind                       `json:"kind"`
	Group             string                     `json:"group"`
	Run               string                     `json:"run,omitempty"`
	Version           artifact.Version           `json:"version"`
	Manifest          artifact.Digest            `json:"manifest"`
	Templates         []TemplateRef              `json:"templates,omitempty"`
	Refresh           string                     `json:"refresh,omitempty"`
	Serving           artifact.Version           `json:"serving,omitempty"`           // what every node was proven on; empty when it was no release of wpbake
	Nodes             int                        `json:"nodes"`                       // nodes proven
	Cause             string                     `json:"cause,omitempty"`             // why it was rolled back
	BadNode           string                     `json:"bad_node,omitempty"`          // the node that gave the verdict
	Evidence          string                     `json:"evidence,omitempty"`          // folder in the store
	Incompatibilities []database.Incompatibility `json:"incompatibilities,omitempty"` // between the database and what serves now
	Schema            *SchemaChange              `json:"schema,omitempty"`            // how the database followed
	Snapshot          string                     `json:"snapshot,omitempty"`          // of the database, made before it followed
	Seconds           float64                    `json:"seconds"`
}

// Event is one change worth telling.
type Event struct {
	Time    time.Time        `json:"time"`
	Kind    string           `json:"event"` // step, refresh, node, verdict, wait, note, incompatibility
	Run     string           `json:"run,omitempty"`
	Step    Step             `json:"step,omitempty"`
	Text    string           `json:"text"` // one line for people
	Version artifact.Version `json:"version,omitempty"`
	Refresh *RefreshView     `json:"refresh,omitempty"`
	Node    *NodeView        `json:"node,omitempty"`  // the node that changed
	Nodes   []NodeView       `json:"nodes,omitempty"` // with kind refresh: the whole group
}

// RefreshView is the part of a refresh that a picture shows.
type RefreshView struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Percent   int    `json:"percent"`
	Remaining int    `json:"remaining"`
	Reason    string `json:"reason,omitempty"`
}

// Gone is the lifecycle state, in a picture, of a node that has left the group.
const Gone = "Gone"

// NodeView is one node in a picture of the group.
type NodeView struct {
	ID        string           `json:"id"`
	Zone      string           `json:"zone,omitempty"`
	Lifecycle string           `json:"lifecycle"`
	Target    string           `json:"target,omitempty"` // target health, worst of all target groups
	Template  string           `json:"template"`         // number of its template version
	Version   artifact.Version `json:"version,omitempty"`
	Digest    artifact.Digest  `json:"digest,omitempty"` // what it reported, empty before
	Verdict   string           `json:"verdict,omitempty"`
	Waits     string           `json:"waits,omitempty"` // where it stands: boot, hook, target, warm-up, drain
	Cause     string           `json:"cause,omitempty"`
	As        string           `json:"as,omitempty"`   // how the release lies on it: dir, erofs or volume
	Note      string           `json:"note,omitempty"` // what went another way than wished, and did no harm
}

// Engine performs and watches rollouts of one group.
type Engine struct {
	o Options
}

// New checks options and fills in defaults.
func New(o Options) (*Engine, error) {
	if o.Group == "" {
		return nil, fmt.Errorf("making a release: no group")
	}
	if o.Store == nil {
		return nil, fmt.Errorf("making a release: no store")
	}
	o.FirstNode = orDefault(o.FirstNode, 15*time.Minute)
	o.Settle = orDefault(o.Settle, 5*time.Minute)
	o.Poll = orDefault(o.Poll, 10*time.Second)
	o.Lease = orDefault(o.Lease, 2*time.Minute)
	if o.OnBusy == "" {
		o.OnBusy = Fail
	}
	if o.Alive == nil {
		o.Alive = func(owner.Holder) bool { return true }
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.AfterStep == nil {
		o.AfterStep = func(Step) {}
	}
	return &Engine{o: o}, nil
}

// Carrying is the same for releases whose template versions carry what was
// baked.
func (b *Engine) Carrying(what Baked) *Engine {
	with := *b
	with.o.Baked = what
	return &with
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// NewRun names a run: its start and six random hex digits.
func NewRun(now time.Time) string {
	var b [3]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}
