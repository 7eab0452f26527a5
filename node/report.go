package node

import (
	"regexp"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Verdicts of a boot report.
const (
	Good = "good" // the node passed its gate and said CONTINUE
	Bad  = "bad"  // a stage failed and the node said ABANDON

	// Unknown is no word about the release: the boot was interrupted from
	// outside, as when the group terminates the node in the middle of it. The
	// node said ABANDON.
	Unknown = "unknown"
)

// Report is what a node writes to the store once its boot has ended, under
// rollouts/GROUP/RUN/nodes/INSTANCE.json. A later boot of the same instance
// replaces it.
type Report struct {
	Instance string           `json:"instance"`
	Group    string           `json:"group"`
	Run      string           `json:"run"`
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`        // what the node verified and serves; empty when it got no further
	Verdict  string           `json:"verdict"`         // Good, Bad or Unknown
	Stage    string           `json:"stage,omitempty"` // the stage that failed
	Cause    string           `json:"cause,omitempty"` // one line; PHP's own message with file and line where there is one
	As       string           `json:"as,omitempty"`    // how the release lies on the disk: dir, erofs or volume
	Notes    []string         `json:"notes,omitempty"` // what went another way than wished, and did no harm
	Stages   []Stage          `json:"stages"`

	// Downloaded is how many bytes of the artifact were read from the store; the
	// rest was on the disk.
	Downloaded int64 `json:"downloaded"`

	Errors   []string        `json:"errors,omitempty"` // failed warm-up requests, then PHP errors found in the logs, newest last
	Logs     []Log           `json:"logs,omitempty"`
	Warm     []Warmed        `json:"warm,omitempty"`     // pages asked for before the gate, in order
	Opcache  *Opcache        `json:"opcache,omitempty"`  // nil when it could not be asked
	Database *database.State `json:"database,omitempty"` // nil when it could not be asked
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished"`
}

// Stage is one finished stage of a boot.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Log is the end of one log file.
type Log struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"`
}

// ReportName is where a node's report stands in the store. group is the
// group's name as AWS knows it.
func ReportName(group, run, instance string) string {
	return artifact.RolloutPrefix(group) + run + "/nodes/" + instance + ".json"
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// IsInstance reports whether a text is an instance id as EC2 gives them. Ids
// come in reports and their names, which a node writes, and go on into command
// lines, requests and lines for people.
func IsInstance(id string) bool { return instanceID.MatchString(id) }
