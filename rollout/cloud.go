package rollout

import (
	"context"
	"errors"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Cloud is what a release drives, as small interfaces; package internal/aws
// holds the adapters.
type Cloud struct {
	Groups    Groups
	Templates Templates
	Refreshes Refreshes
	Fleet     Fleet
}

// Groups reads Auto Scaling groups, and changes what adopting one needs.
type Groups interface {
	// Group returns the group with its nodes and hooks; ErrNoGroup when it
	// does not exist.
	Group(ctx context.Context, name string) (Group, error)
	// Activities returns scaling activities that started at or after since,
	// newest first.
	Activities(ctx context.Context, name string, since time.Time) ([]Activity, error)
	// Pin saves numbered template versions on the group in place of $Latest
	// or $Default. Only adopting calls it: no release moves a group this way.
	Pin(ctx context.Context, name string, templates []TemplateRef) error
	// PutHook creates or replaces a lifecycle hook.
	PutHook(ctx context.Context, group string, hook Hook) error
}

// Templates reads and writes launch template versions.
type Templates interface {
	// Version returns one version; ref.Version may be $Latest or $Default,
	// the answer's is always a number. ErrNoTemplate when it does not exist.
	Version(ctx context.Context, ref TemplateRef) (TemplateVersion, error)
	// Versions returns all versions of a template, newest first.
	Versions(ctx context.Context, templateID string) ([]TemplateVersion, error)
	// Create copies the whole data of the version at From, replaces user
	// data, description, image and release volume, sends it, waits until it
	// can be described, reads it back and compares. A warning in AWS's answer or a difference is
	// ErrBadTemplate. The same Token makes a repeated call return the same
	// version; one that an earlier call made is only read back.
	Create(ctx context.Context, v NewTemplateVersion) (TemplateVersion, error)
	// MayCreate asks by dry run whether Create would be allowed.
	MayCreate(ctx context.Context, templateID string) error
}

// Refreshes drives instance refreshes.
type Refreshes interface {
	// Refreshes returns the group's refreshes, newest first.
	Refreshes(ctx context.Context, group string) ([]Refresh, error)
	// Start begins a refresh to the given template versions, carrying a mixed
	// instances policy whole, and returns its id. ErrRefreshActive when
	// another one is active.
	Start(ctx context.Context, r NewRefresh) (id string, err error)
	// Rollback turns the active refresh back. ErrNoRefresh when none is
	// active, ErrIrreversible when AWS will not turn it back.
	Rollback(ctx context.Context, group string) error
	// Cancel stops the active refresh and undoes nothing.
	Cancel(ctx context.Context, group string) error
}

// Fleet looks at what runs.
type Fleet interface {
	// Targets returns the health of the targets of one target group.
	Targets(ctx context.Context, targetGroupARN string) ([]Target, error)
	// Alarms returns the state of each named CloudWatch alarm: OK, ALARM,
	// INSUFFICIENT_DATA; a missing alarm is absent from the map.
	Alarms(ctx context.Context, names []string) (map[string]string, error)
	// Console returns an instance's console output, possibly empty.
	Console(ctx context.Context, instanceID string) (string, error)
}

// Group is an Auto Scaling group as a release sees it.
type Group struct {
	Name    string
	ARN     string
	Min     int
	Max     int
	Desired int

	// Templates are the launch templates saved on the group: first its own
	// or its policy's, then those that overrides of the policy name. Version
	// is the literal saved, so it can be $Latest or $Default.
	Templates           []TemplateRef
	Mixed               bool   // has a mixed instances policy
	AttributeBased      bool   // an override selects types by attributes
	LaunchConfiguration string // set when the group has no template at all

	HealthChecks []string      // such as EC2, ELB
	Grace        time.Duration // health check grace period
	Warmup       time.Duration // default instance warm-up; negative when unset
	TargetGroups []string      // ARNs
	Suspended    []string      // suspended processes
	ProtectsNew  bool          // new nodes are protected from scale-in
	Hooks        []Hook
	Nodes        []Node
}

// Node is an instance of a group.
type Node struct {
	ID        string
	Zone      string
	Type      string
	Lifecycle string // AWS's lifecycle state, such as InService
	Healthy   bool
	Protected bool
	Template  TemplateRef // numbered
}

// Hook is a lifecycle hook on launch.
type Hook struct {
	Name          string
	Launching     bool // false for terminating
	DefaultResult string
	Heartbeat     time.Duration
}

// TemplateRef names a version of a launch template.
type TemplateRef struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Version string `json:"version"`
}

// TemplateVersion is what a release needs of a launch template version.
type TemplateVersion struct {
	TemplateRef
	Description string
	ImageID     string // can be resolve:ssm:…
	UserData    []byte // decoded
	Created     time.Time
}

// NewTemplateVersion asks for a copy of From with other content.
type NewTemplateVersion struct {
	From        TemplateRef
	Made        TemplateRef // when an earlier call made it: nothing is created
	UserData    []byte      // raw, at most 16 KiB
	Image       string      // to launch from; empty keeps From's
	Volume      *Volume     // to attach; nil for none
	Drop        string      // snapshot of the release volume that From attaches, which goes; empty: it has none
	Description string      // at most 255 characters
	Token       string      // client token, at most 64 characters
}

// Volume is a release volume: a snapshot that nodes get as a disk.
type Volume struct {
	Snapshot string          `json:"snapshot"`
	Image    artifact.Digest `json:"image"`          // of the file system on it
	Rate     int             `json:"rate,omitempty"` // initialization rate in MiB/s, 100-300; 0 for as it comes
}

// Baked is what template versions of a release carry besides user data.
type Baked struct {
	Image  string  // AMI to launch from; empty keeps the template's
	Volume *Volume // nil for none
}

// NewRefresh asks for an instance refresh.
type NewRefresh struct {
	Group       string
	Templates   []TemplateRef // one per entry of Group.Templates, numbered
	Preferences Preferences
}

// Preferences are always sent in full. See the RefreshPreferences type of the
// Auto Scaling API for ranges.
type Preferences struct {
	MinHealthy      int           `json:"min_healthy"` // percent of desired, 0-100
	MaxHealthy      int           `json:"max_healthy"` // percent of desired, 100-200
	Warmup          time.Duration `json:"warmup"`
	BakeTime        time.Duration `json:"bake_time"`
	SkipMatching    bool          `json:"skip_matching"`
	AutoRollback    bool          `json:"auto_rollback"`
	Checkpoints     []int         `json:"checkpoints,omitempty"`
	CheckpointDelay time.Duration `json:"checkpoint_delay,omitempty"`
	Alarms          []string      `json:"alarms,omitempty"`
	Protected       string        `json:"protected"` // Refresh, Ignore or Wait
	Standby         string        `json:"standby"`   // Terminate, Ignore or Wait
}

// Refresh is an instance refresh as AWS describes it.
type Refresh struct {
	ID             string
	Status         string // AWS's word; a word never seen before counts as active
	Reason         string
	Percent        int
	Remaining      int // nodes not yet started, not nodes not yet done
	Started        time.Time
	Ended          time.Time
	Templates      []TemplateRef // desired configuration; empty when there is none
	RollbackReason string
}

// Activity is a scaling activity.
type Activity struct {
	ID          string
	Status      string
	Description string
	Cause       string
	Message     string
	Started     time.Time
}

// Target is one target's health in a target group.
type Target struct {
	ID          string // instance id
	State       string
	Reason      string
	Description string
}

// Errors that adapters answer with, wrapped with operation, resource, AWS's
// code and request id.
var (
	ErrNoGroup       = errors.New("no such Auto Scaling group")
	ErrNoTemplate    = errors.New("no such launch template version")
	ErrBadTemplate   = errors.New("the launch template version is not as it was asked for")
	ErrRefreshActive = errors.New("another instance refresh is active")
	ErrNoRefresh     = errors.New("no instance refresh is active")
	ErrIrreversible  = errors.New("the instance refresh cannot be rolled back")
	ErrDenied        = errors.New("permission denied")
	ErrCredentials   = errors.New("credentials missing, expired or wrong")
)
