// Package ec2 is EC2 on this machine: launch templates with versions, images,
// tags, a small fixed network, and instances that a Runner really runs. It
// knows what EC2 answers and when; it refuses to know how an instance is run,
// what its metadata service says, and who launches it.
package ec2

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
	"github.com/wpbake/wpbake/internal/wire"
)

// Runner runs instances.
type Runner interface {
	// Start returns once the instance is booting and never waits for its user
	// data. The process outlives ctx.
	Start(ctx context.Context, m Machine) (Process, error)
}

// Machine is an instance as its Runner sees it.
type Machine struct {
	ID       string
	Address  string // on loopback, its own
	Type     string
	ImageID  string
	UserData []byte   // decoded
	Dir      string   // its own directory, "" when the cloud keeps nothing on disk
	Environ  []string // what user data needs besides the runner's own variables

	Root  io.Reader // what its image put on its disk, for the first start; nil for nothing
	Disks []Disk    // its volumes besides the root
}

// Process is a running instance.
type Process interface {
	Console() []byte                // everything that user data printed so far
	Stop(ctx context.Context) error // gracefully, then by force; nothing of it remains
	Kill() error                    // pulls the plug
	Done() <-chan struct{}          // closed when the machine itself has gone
}

// PoweredOff is a Process that can tell how it ended.
type PoweredOff interface {
	// PoweredOff reports whether the machine shut itself down in order, once
	// it is done. One that was killed or crashed did not.
	PoweredOff() bool
}

// Metadata serves the instance metadata service of instances.
type Metadata interface {
	Serve(instanceID, address string) (io.Closer, error)
}

// Parameters resolves images named "resolve:ssm:NAME".
type Parameters interface {
	Value(name string) (string, error)
}

// Profiles knows instance profiles.
type Profiles interface {
	HasInstanceProfile(name string) bool
}

// Facts are what an instance may learn of itself.
type Facts struct {
	ID, ImageID, Type, Zone, Address, Hostname string
	Profile                                    string // name of its instance profile, "" for none
	UserData                                   []byte
	Tags                                       map[string]string
	TagsAllowed, MetadataDisabled              bool // as its template says
	Launched                                   time.Time
}

// Options configure a Service. Region and Account must be set.
type Options struct {
	Region, Account string
	Network         byte                          // second number of the instances' addresses, 127.Network.x.y
	Dir             string                        // holds one directory for each instance; "" for none
	Environ         func(address string) []string // of the instance there; nil for none
	Runner          Runner                        // nil refuses to launch
	Metadata        Metadata                      // nil serves none
	Parameters      Parameters                    // nil refuses "resolve:ssm:"
	Profiles        Profiles                      // nil lets instances have any
	Blocks          *blocks.Store                 // of snapshots; nil keeps them in memory
	VolumeDir       string                        // holds a file for each volume; "" for none
	Logins          Logins                        // nil lets nobody in
	Speed           float64                       // 0 means 1
	Lag             time.Duration
	Changed         func() // called after each change; may be nil
	Log             *slog.Logger
}

// LaunchSpec is what Auto Scaling launches: a template version, or data that
// stands in no template, and what the group says differently.
type LaunchSpec struct {
	TemplateID                            string
	Version                               int64
	Data                                  *types.ResponseLaunchTemplateData // of a launch configuration; nil means the template
	InstanceType, ImageID, Zone, SubnetID string
	Tags                                  map[string]string
}

// Service is EC2.
type Service struct {
	options Options

	mu       sync.Mutex
	state    state
	byID     map[string]*instance // of all in state
	machines map[string]*machine  // by instance id; those that have a process, or soon will
	shortage *shortage
	lag      time.Duration
	slow     time.Duration  // how long a snapshot takes after it was read
	reading  sync.WaitGroup // of volumes, for snapshots
}

// state is what survives a restart.
type state struct {
	Templates []*template
	Instances []*instance
	Images    []*image
	Tokens    map[string]token
	Tags      map[string]map[string]string // by resource, then key
	Addresses int                          // how many were given out

	Snapshots    []*snapshot
	Volumes      []*volume
	KeyPairs     []*keyPair
	Groups       []*securityGroup
	Deregistered map[string]time.Time // images
	Encrypts     bool                 // volumes and snapshots unless told otherwise
}

// complete makes what a state of an earlier version lacks.
func (s *state) complete() {
	if s.Tokens == nil {
		s.Tokens = map[string]token{}
	}
	if s.Tags == nil {
		s.Tags = map[string]map[string]string{}
	}
	if s.Deregistered == nil {
		s.Deregistered = map[string]time.Time{}
	}
}

// New makes a service that has the seeded images and network.
func New(o Options) *Service {
	if o.Blocks == nil {
		o.Blocks = blocks.InMemory()
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{options: o, byID: map[string]*instance{}, machines: map[string]*machine{}, lag: o.Lag}
	s.state.Images = seededImages()
	s.state.complete()
	return s
}

// Actions are the operations served.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"CreateLaunchTemplate":           wire.Handle(s.createLaunchTemplate),
		"CreateLaunchTemplateVersion":    wire.Handle(s.createLaunchTemplateVersion),
		"DescribeLaunchTemplates":        wire.Handle(s.describeLaunchTemplates),
		"DescribeLaunchTemplateVersions": wire.Handle(s.describeLaunchTemplateVersions),
		"ModifyLaunchTemplate":           wire.Handle(s.modifyLaunchTemplate),
		"DeleteLaunchTemplate":           wire.Handle(s.deleteLaunchTemplate),
		"DeleteLaunchTemplateVersions":   wire.Handle(s.deleteLaunchTemplateVersions),
		"RunInstances":                   wire.Handle(s.runInstances),
		"DescribeInstances":              wire.Handle(atHome(s, s.describeInstances)),
		"DescribeInstanceStatus":         wire.Handle(s.describeInstanceStatus),
		"TerminateInstances":             wire.Handle(s.terminateInstances),
		"StartInstances":                 wire.Handle(s.startInstances),
		"StopInstances":                  wire.Handle(s.stopInstances),
		"RebootInstances":                wire.Handle(s.rebootInstances),
		"GetConsoleOutput":               wire.Handle(s.getConsoleOutput),
		"CreateTags":                     wire.Handle(s.createTags),
		"DeleteTags":                     wire.Handle(s.deleteTags),
		"DescribeTags":                   wire.Handle(s.describeTags),
		"RegisterImage":                  wire.Handle(s.registerImage),
		"DescribeImages":                 wire.Handle(s.describeImages),
		"DeregisterImage":                wire.Handle(s.deregisterImage),
		"CopyImage":                      wire.Handle(s.copyImage),
		"CreateImage":                    wire.Handle(s.createImage),
		"ModifyImageAttribute":           wire.Handle(s.modifyImageAttribute),
		"DescribeImageAttribute":         wire.Handle(s.describeImageAttribute),
		"EnableImageDeprecation":         wire.Handle(s.enableImageDeprecation),
		"DisableImageDeprecation":        wire.Handle(s.disableImageDeprecation),
		"ModifyInstanceAttribute":        wire.Handle(s.modifyInstanceAttribute),
		"CreateKeyPair":                  wire.Handle(s.createKeyPair),
		"ImportKeyPair":                  wire.Handle(s.importKeyPair),
		"DeleteKeyPair":                  wire.Handle(s.deleteKeyPair),
		"DescribeKeyPairs":               wire.Handle(atHome(s, s.describeKeyPairs)),
		"CreateSecurityGroup":            wire.Handle(s.createSecurityGroup),
		"DeleteSecurityGroup":            wire.Handle(s.deleteSecurityGroup),
		"AuthorizeSecurityGroupIngress":  wire.Handle(s.authorizeSecurityGroupIngress),
		"CreateSnapshot":                 wire.Handle(s.createSnapshot),
		"CopySnapshot":                   wire.Handle(s.copySnapshot),
		"DeleteSnapshot":                 wire.Handle(s.deleteSnapshot),
		"DescribeSnapshots":              wire.Handle(s.describeSnapshots),
		"ModifySnapshotAttribute":        wire.Handle(s.modifySnapshotAttribute),
		"DescribeSnapshotAttribute":      wire.Handle(s.describeSnapshotAttribute),
		"CreateVolume":                   wire.Handle(s.createVolume),
		"DeleteVolume":                   wire.Handle(s.deleteVolume),
		"DescribeVolumes":                wire.Handle(atHome(s, s.describeVolumes)),
		"AttachVolume":                   wire.Handle(s.attachVolume),
		"DetachVolume":                   wire.Handle(s.detachVolume),
		"GetEbsEncryptionByDefault":      wire.Handle(s.getEbsEncryptionByDefault),
		"EnableEbsEncryptionByDefault":   wire.Handle(s.enableEbsEncryptionByDefault),
		"DisableEbsEncryptionByDefault":  wire.Handle(s.disableEbsEncryptionByDefault),
		"DescribeSubnets":                wire.Handle(s.describeSubnets),
		"DescribeVpcs":                   wire.Handle(s.describeVpcs),
		"DescribeSecurityGroups":         wire.Handle(atHome(s, s.describeSecurityGroups)),
		"DescribeAvailabilityZones":      wire.Handle(s.describeAvailabilityZones),
		"DescribeRegions":                wire.Handle(s.describeRegions),

		"EnableImageDeregistrationProtection":  wire.Handle(s.enableDeregistrationProtection),
		"DisableImageDeregistrationProtection": wire.Handle(s.disableDeregistrationProtection),
	}
}

// atHome answers with nothing in other regions, where the local cloud has only
// images and snapshots.
func atHome[In, Out any](s *Service, describe func(context.Context, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		if s.regionOf(ctx) != s.options.Region {
			return new(Out), nil
		}
		return describe(ctx, in)
	}
}

// Snapshot is the state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.state)
}

// Restore takes a snapshot back. Instances that ran are started by Resume; a
// volume that was being read is not read again.
func (s *Service) Restore(snapshot []byte) error {
	var restored state
	if err := json.Unmarshal(snapshot, &restored); err != nil {
		return fmt.Errorf("reading state of ec2: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	restored.complete()
	s.state, s.byID = restored, map[string]*instance{}
	for _, i := range restored.Instances {
		s.byID[i.ID] = i
	}
	for _, one := range s.state.Snapshots {
		if one.State == types.SnapshotStatePending && one.Completes.IsZero() && !one.Direct {
			one.State, one.Message = types.SnapshotStateError, "The local cloud ended while the volume was read."
		}
	}
	return nil
}

// SetLag makes what was created less than lag ago invisible to describe calls
// and to other services, as EC2's eventual consistency does.
func (s *Service) SetLag(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = lag
}

// SetSlow makes snapshots take so long from when their content is read until
// they are completed.
func (s *Service) SetSlow(slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = slow
}

// visible needs the mutex. What was there from the start is always visible,
// even where a simulation's clock has not come to it.
func (s *Service) visible(created time.Time) bool {
	age := time.Since(created)
	return age < 0 || age >= s.lag
}

func (s *Service) scaled(d time.Duration) time.Duration {
	if s.options.Speed <= 0 {
		return d
	}
	return time.Duration(float64(d) / s.options.Speed)
}

// newID makes an identifier such as "i-0123456789abcdef0".
func newID(prefix string) string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + "-0" + hex.EncodeToString(b[:])[:16]
}

// isID checks the shape of an identifier, old and short or new and long.
func isID(prefix, id string) bool {
	digits, ok := strings.CutPrefix(id, prefix+"-")
	if !ok || len(digits) != 8 && len(digits) != 17 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// refuseDryRun is the answer to a dry run that would have succeeded.
func refuseDryRun(dryRun *bool) error {
	if dryRun == nil || !*dryRun {
		return nil
	}
	return &wire.Error{Code: "DryRunOperation", Status: 412, Message: "Request would have succeeded, but DryRun flag is set."}
}
