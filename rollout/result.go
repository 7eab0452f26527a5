package rollout

import (
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
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
	Outcome   Outcome          `json:"outcome"`
	Kind      Kind             `json:"kind"`
	Group     string           `json:"group"`
	Run       string           `json:"run,omitempty"`
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Templates []TemplateRef    `json:"templates,omitempty"`
	Refresh   string           `json:"refresh,omitempty"`
	Serving   artifact.Version `json:"serving,omitempty"`  // what every node was proven on; empty when it was no release of wpbake
	Nodes     int              `json:"nodes"`              // nodes proven
	Cause     string           `json:"cause,omitempty"`    // why it was rolled back
	BadNode   string           `json:"bad_node,omitempty"` // the node that gave the verdict
	Evidence  string           `json:"evidence,omitempty"` // folder in the store

	Incompatibilities []database.Incompatibility `json:"incompatibilities,omitempty"` // between the database and what serves now
	Schema            *SchemaChange              `json:"schema,omitempty"`            // how the database followed
	Snapshot          string                     `json:"snapshot,omitempty"`          // of the database, made before it followed
	Seconds           float64                    `json:"seconds"`
}

// resultOf is what the run of a state's record has to say.
func resultOf(s State, o Outcome) Result {
	rec := s.Record
	ended := rec.Ended
	if ended.IsZero() {
		ended = time.Now()
	}
	res := Result{
		Outcome: o, Kind: rec.Kind, Group: rec.Group, Run: rec.Run,
		Version: rec.Version, Manifest: rec.Manifest, Templates: s.Templates, Refresh: rec.Refresh,
		Nodes: provenNodes(s.Group), Cause: rec.Cause, BadNode: rec.BadNode,
		Incompatibilities: rec.Incompatibilities, Schema: rec.Schema, Snapshot: rec.Snapshot,
		Seconds: ended.Sub(rec.Started).Seconds(),
	}
	switch o {
	case Released, UpToDate:
		res.Serving = rec.Version
	case RolledBack:
		if p, ok := s.basePin(); ok {
			res.Serving = p.Version
		}
		res.Evidence = evidenceFolder(rec.Group, rec.Run)
	}
	return res
}
