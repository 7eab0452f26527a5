package ec2

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/blocks"
	"github.com/wpbake/wpbake/internal/wire"
)

const (
	// directTime is how long a snapshot stays pending after its writer said
	// that it is whole.
	directTime = 5 * time.Second
	// maxPending is EC2's own limit for an account and region.
	maxPending = 100
)

// DirectStart is what the EBS direct APIs know of a snapshot to be.
type DirectStart struct {
	Size                             int32 // GiB
	Parent, Description, ClientToken string
	Encrypted                        bool
	Key                              string
	Timeout                          time.Duration
	Tags                             map[string]string
}

// DirectSnapshot is a snapshot as the EBS direct APIs see it.
type DirectSnapshot struct {
	ID, Owner, Description, Parent, Key, Lineage string
	Size                                         int32
	State                                        types.SnapshotState
	Encrypted                                    bool
	Writable                                     bool // pending, and its writer has not finished
	Started                                      time.Time
	Tags                                         map[string]string
}

// Blocks are those of all snapshots.
func (s *Service) Blocks() *blocks.Store { return s.options.Blocks }

// StartDirect starts a snapshot that is written block by block, in the region
// that the request of ctx was signed for.
func (s *Service) StartDirect(ctx context.Context, start DirectStart) (DirectSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	region := s.regionOf(ctx)
	made, err := s.remembered("StartSnapshot", &start.ClientToken, start)
	if err != nil {
		return DirectSnapshot{}, err
	}
	if made != nil {
		if n := slices.IndexFunc(s.state.Snapshots, func(one *snapshot) bool { return one.ID == made[0] }); n >= 0 {
			return s.direct(s.state.Snapshots[n]), nil
		}
	}
	one, err := s.startOf(region, start)
	if err != nil {
		return DirectSnapshot{}, err
	}
	added := s.addSnapshot(one, start.Tags)
	added.Written = added.Started
	if err := s.options.Blocks.Create(added.ID, start.Parent); err != nil {
		s.forget(added)
		return DirectSnapshot{}, err
	}
	s.remember("StartSnapshot", &start.ClientToken, start, added.ID)
	s.options.Changed()
	return s.direct(added), nil
}

// startOf checks what is to be started; it needs the mutex.
func (s *Service) startOf(region string, start DirectStart) (snapshot, error) {
	one := snapshot{
		Region: region, Volume: noVolume, Parent: start.Parent, Description: start.Description, Size: start.Size,
		Direct: true, Timeout: start.Timeout,
	}
	pending := 0
	for _, other := range s.state.Snapshots {
		if s.settle(other); other.State == types.SnapshotStatePending && other.Region == region {
			pending++
		}
	}
	if pending >= maxPending {
		return one, wire.Errorf("PendingSnapshotLimitExceeded", "Maximum allowed in-progress snapshots exceeded: %d.", maxPending)
	}
	if start.Parent == "" {
		e := s.encryptionOf(encryption{start.Encrypted, start.Key}, nil, region)
		one.Encrypted, one.Key = e.on, e.key
		return one, nil
	}
	parent, err := s.completed(region, start.Parent)
	if err != nil {
		return one, err
	}
	if s.state.Encrypts && !parent.Encrypted {
		return one, wire.Errorf("InvalidParameterValue", "The parent snapshot %s is not encrypted, and the account encrypts all.", parent.ID)
	}
	if start.Size < parent.Size {
		return one, wire.Errorf("InvalidVolumeSize", "The volume size %d is smaller than the parent snapshot's, %d.", start.Size, parent.Size)
	}
	one.Encrypted, one.Key, one.Lineage = parent.Encrypted, parent.Key, parent.Lineage
	return one, nil
}

// Direct finds a snapshot.
func (s *Service) Direct(ctx context.Context, id string) (DirectSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.snapshot(s.regionOf(ctx), id)
	if err != nil {
		return DirectSnapshot{}, err
	}
	return s.direct(one), nil
}

// direct needs the mutex.
func (s *Service) direct(one *snapshot) DirectSnapshot {
	s.settle(one)
	tags := map[string]string{}
	for _, tag := range s.tagsOf(one.ID) {
		tags[*tag.Key] = *tag.Value
	}
	return DirectSnapshot{
		ID: one.ID, Owner: one.Owner, Description: one.Description, Parent: one.Parent, Key: one.Key, Lineage: one.Lineage,
		Size: one.Size, State: one.State, Encrypted: one.Encrypted, Started: one.Started, Tags: tags,
		Writable: one.Direct && one.State == types.SnapshotStatePending && one.Completes.IsZero(),
	}
}

// WroteDirect notes that a snapshot's writer lives.
func (s *Service) WroteDirect(ctx context.Context, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, err := s.snapshot(s.regionOf(ctx), id); err == nil {
		one.Written = time.Now().UTC()
	}
}

// CompleteDirect ends the writing of a snapshot.
func (s *Service) CompleteDirect(ctx context.Context, id string) (DirectSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.snapshot(s.regionOf(ctx), id)
	if err != nil {
		return DirectSnapshot{}, err
	}
	one.Completes = time.Now().UTC().Add(s.scaled(directTime) + s.slow)
	s.options.Changed()
	return s.direct(one), nil
}
