package ec2

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	// remembrance is how long a terminated instance is still described.
	remembrance = time.Hour
	// maxConsole is how much of a gone instance's console is kept.
	maxConsole = 64 << 10
)

// instance is what survives a restart of an instance.
type instance struct {
	ID, Reservation, ClientToken string
	Index                        int32
	Template                     string
	Data                         types.ResponseLaunchTemplateData
	UserData                     []byte
	Zone, Subnet, Address        string
	State                        types.InstanceStateName
	ReasonCode, Reason           string
	Launched, Ended              time.Time
	Console                      []byte // once it has gone
	Key                          string // who may log in, as in authorized_keys
	Ena                          bool
	Sriov                        string
}

// machine is an instance that runs.
type machine struct {
	started chan struct{} // closed once Start has returned
	process Process       // nil until then, and when Start failed
	servers []io.Closer   // of its metadata and its logins
	login   *Login        // nil when nobody can log in
	halting bool          // somebody asked for its end
}

// instance finds one; it needs the mutex.
func (s *Service) instance(id string) (*instance, error) {
	if !isID("i", id) {
		return nil, wire.Errorf("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
	}
	if i := s.known(id); i != nil && s.visible(i.Launched) {
		return i, nil
	}
	return nil, wire.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

// known finds an instance as the cloud's own services do, without the lag.
// It needs the mutex and gives nil when there is none.
func (s *Service) known(id string) *instance { return s.byID[id] }

// State is an instance's EC2 state and address.
func (s *Service) State(id string) (state, address string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.known(id)
	if i == nil {
		return "", "", false
	}
	return string(i.State), i.Address, true
}

// Address is where an instance can be reached, and whether it runs.
func (s *Service) Address(id string) (host string, running bool) {
	state, address, _ := s.State(id)
	return address, state == string(types.InstanceStateNameRunning)
}

// InstanceAt is the instance that has an address, "" when none has.
func (s *Service) InstanceAt(address string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.state.Instances {
		if i.Address == address && i.State != types.InstanceStateNameTerminated {
			return i.ID
		}
	}
	return ""
}

// Facts are what an instance may learn of itself.
func (s *Service) Facts(id string) (Facts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.known(id)
	if i == nil {
		return Facts{}, false
	}
	facts := Facts{
		ID: i.ID, ImageID: *i.Data.ImageId, Type: string(i.Data.InstanceType), Zone: i.Zone,
		Address: i.Address, Hostname: hostName(i.Address, s.options.Region),
		UserData: i.UserData, Tags: maps.Clone(s.state.Tags[i.ID]), Launched: i.Launched,
	}
	facts.Profile = profileOf(&i.Data)
	if m := i.Data.MetadataOptions; m != nil {
		facts.TagsAllowed = m.InstanceMetadataTags == types.LaunchTemplateInstanceMetadataTagsStateEnabled
		facts.MetadataDisabled = m.HttpEndpoint == types.LaunchTemplateInstanceMetadataEndpointStateDisabled
	}
	return facts, true
}

// prune forgets what ended long ago; it needs the mutex.
func (s *Service) prune() {
	s.state.Instances = slices.DeleteFunc(s.state.Instances, func(i *instance) bool {
		old := i.State == types.InstanceStateNameTerminated && time.Since(i.Ended) > s.scaled(remembrance)
		if old {
			delete(s.state.Tags, i.ID)
			delete(s.byID, i.ID)
		}
		return old
	})
}

// nextAddress gives out 127.Network.x.y in turn, leaving out what is in use.
func (s *Service) nextAddress() (string, error) {
	used := map[string]bool{}
	for _, i := range s.state.Instances {
		if i.State != types.InstanceStateNameTerminated {
			used[i.Address] = true
		}
	}
	const low, high = 1, 254 // of the last two numbers
	for range (high - low + 1) * (high - low + 1) {
		n := s.state.Addresses
		s.state.Addresses++
		address := fmt.Sprintf("127.%d.%d.%d", s.options.Network, low+n/(high-low+1)%(high-low+1), low+n%(high-low+1))
		if !used[address] {
			return address, nil
		}
	}
	return "", wire.Errorf("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in the subnet.")
}

// specOf is an instance as its Runner knows it; it needs the mutex.
func (s *Service) specOf(i *instance) Machine {
	spec := Machine{
		ID: i.ID, Address: i.Address, Type: string(i.Data.InstanceType), ImageID: *i.Data.ImageId,
		UserData: i.UserData,
	}
	if s.options.Environ != nil {
		spec.Environ = s.options.Environ(i.Address)
	}
	if s.options.Dir != "" {
		spec.Dir = filepath.Join(s.options.Dir, i.ID)
	}
	return spec
}

// boot starts an instance in the background; it needs the mutex.
func (s *Service) boot(ctx context.Context, i *instance) {
	m := &machine{started: make(chan struct{}), login: s.loginOf(i)}
	s.machines[i.ID] = m
	spec := s.specOf(i)
	spec.Root = s.rootOf(i.ID)
	go s.start(context.WithoutCancel(ctx), m, spec)
}

// start runs an instance until it ends by itself.
func (s *Service) start(ctx context.Context, m *machine, spec Machine) {
	process, err := s.open(ctx, m, spec)
	s.mu.Lock()
	m.process = process
	i := s.known(spec.ID)
	switch {
	case err != nil:
		s.options.Log.Error("starting instance", "instance", spec.ID, "error", err)
		s.ended(i, "Server.InternalError", "Server.InternalError: Internal error on launch: "+err.Error())
		delete(s.machines, spec.ID)
	case i.State == types.InstanceStateNamePending:
		i.State = types.InstanceStateNameRunning
	}
	close(m.started)
	s.mu.Unlock()
	s.options.Changed()
	if err != nil {
		m.closeServers()
		s.discard(spec.ID)
		return
	}
	<-process.Done()
	s.gone(m, spec.ID)
}

func (s *Service) open(ctx context.Context, m *machine, spec Machine) (Process, error) {
	if s.options.Metadata != nil {
		metadata, err := s.options.Metadata.Serve(spec.ID, spec.Address)
		if err != nil {
			return nil, err
		}
		m.servers = append(m.servers, metadata)
	}
	var err error
	if spec.Disks, err = s.disksOf(spec.ID); err != nil {
		return nil, err
	}
	process, err := s.options.Runner.Start(ctx, spec)
	if err == nil {
		s.letIn(m, process)
	}
	return process, err
}

func (m *machine) closeServers() {
	for _, server := range m.servers {
		_ = server.Close() // a listener that is closed is closed
	}
}

// gone notes that an instance ended without being asked to. One that shut
// itself down in order stays, stopped, unless it was launched to terminate then.
func (s *Service) gone(m *machine, id string) {
	s.mu.Lock()
	if m.halting {
		s.mu.Unlock()
		return
	}
	s.options.Log.Warn("instance ended by itself", "instance", id)
	i := s.known(id)
	i.Console = tail(m.process.Console())
	if p, ok := m.process.(PoweredOff); ok && p.PoweredOff() && i.Data.InstanceInitiatedShutdownBehavior != types.ShutdownBehaviorTerminate {
		i.State, m.halting = types.InstanceStateNameStopping, true
		i.ReasonCode, i.Reason = "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
		s.mu.Unlock()
		s.halt(context.Background(), m, id, types.InstanceStateNameStopped)
		return
	}
	delete(s.machines, id)
	s.mu.Unlock()
	m.closeServers()
	s.keepRoot(context.Background(), id)
	s.mu.Lock()
	s.ended(s.known(id), "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
	s.mu.Unlock()
	s.discard(id)
	s.options.Changed()
}

// discard removes a terminated instance's directory.
func (s *Service) discard(id string) {
	if s.options.Dir == "" {
		return
	}
	if err := os.RemoveAll(filepath.Join(s.options.Dir, id)); err != nil {
		s.options.Log.Error("removing instance's directory", "instance", id, "error", err)
	}
}

// ended needs the mutex.
func (s *Service) ended(i *instance, code, reason string) {
	i.State, i.ReasonCode, i.Reason = types.InstanceStateNameTerminated, code, reason
	i.Ended = time.Now().UTC()
	s.releaseVolumes(i.ID)
}

// halt ends a machine and leaves the instance in its final state. The machine
// must be marked as halting.
func (s *Service) halt(ctx context.Context, m *machine, id string, final types.InstanceStateName) {
	clean := s.stop(ctx, m, id)
	if !s.settleAs(ctx, m, id, final, clean) {
		s.settleAs(ctx, m, id, types.InstanceStateNameTerminated, clean)
	}
	s.options.Changed()
}

// settleAs leaves an instance whose machine has stopped in its final state,
// unless it shall be stopped and was told to end in the meantime.
func (s *Service) settleAs(ctx context.Context, m *machine, id string, final types.InstanceStateName, clean bool) bool {
	if final == types.InstanceStateNameTerminated {
		s.keepRoot(ctx, id)
		if clean {
			s.discard(id)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.known(id); i != nil {
		if final != types.InstanceStateNameTerminated && i.State == types.InstanceStateNameShuttingDown {
			return false
		}
		if m.process != nil {
			i.Console = tail(m.process.Console())
		}
		i.State = final
		i.Ended = time.Now().UTC()
		if final == types.InstanceStateNameTerminated {
			s.releaseVolumes(id)
		}
	}
	if s.machines[id] == m {
		delete(s.machines, id)
	}
	return true
}

// stop ends a machine's process, by force when it will not. It reports whether
// nothing of it remained.
func (s *Service) stop(ctx context.Context, m *machine, id string) bool {
	<-m.started
	defer m.closeServers()
	if m.process == nil {
		return true
	}
	err := m.process.Stop(ctx)
	if err == nil {
		return true
	}
	s.options.Log.Error("stopping instance", "instance", id, "error", err)
	if err := m.process.Kill(); err != nil {
		s.options.Log.Error("killing instance", "instance", id, "error", err)
	}
	return false
}

func tail(console []byte) []byte {
	return slices.Clone(console[max(0, len(console)-maxConsole):])
}

// Terminate ends an instance for Auto Scaling.
func (s *Service) Terminate(ctx context.Context, id string) error {
	s.mu.Lock()
	i := s.known(id)
	if i == nil {
		s.mu.Unlock()
		return wire.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	s.terminate(ctx, i)
	s.mu.Unlock()
	s.options.Changed()
	return nil
}

// terminate needs the mutex.
func (s *Service) terminate(ctx context.Context, i *instance) {
	if i.State == types.InstanceStateNameTerminated || i.State == types.InstanceStateNameShuttingDown {
		return
	}
	i.ReasonCode, i.Reason = "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"
	m, running := s.machines[i.ID]
	if !running {
		s.ended(i, i.ReasonCode, i.Reason)
		return
	}
	i.State = types.InstanceStateNameShuttingDown
	if !m.halting {
		m.halting = true
		go s.halt(context.WithoutCancel(ctx), m, i.ID, types.InstanceStateNameTerminated)
	}
}

// Kill pulls an instance's plug, as a fault.
func (s *Service) Kill(id string) error {
	s.mu.Lock()
	m, running := s.machines[id]
	s.mu.Unlock()
	if !running {
		return wire.Errorf("InvalidInstanceID.NotFound", "No instance '%s' is running", id)
	}
	<-m.started
	if m.process == nil {
		return nil
	}
	return m.process.Kill()
}

// Resume starts what ran when the state was saved. To the outside the instances
// were rebooted: one that was running stays so, or its group would replace it.
func (s *Service) Resume(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.state.Instances {
		switch i.State {
		case types.InstanceStateNamePending, types.InstanceStateNameRunning:
			s.resume(ctx, i)
		case types.InstanceStateNameShuttingDown:
			s.ended(i, i.ReasonCode, i.Reason)
		case types.InstanceStateNameStopping:
			i.State = types.InstanceStateNameStopped
		}
	}
}

func (s *Service) resume(ctx context.Context, i *instance) {
	if s.machines[i.ID] != nil {
		return // launched already since this cloud started
	}
	if s.options.Runner == nil {
		s.ended(i, "Server.InternalError", "Server.InternalError: This local cloud was started without a runner of instances")
		return
	}
	if !strings.HasPrefix(i.Address, fmt.Sprintf("127.%d.", s.options.Network)) {
		address, err := s.nextAddress()
		if err != nil {
			s.ended(i, "Server.InternalError", err.Error())
			return
		}
		i.Address = address
	}
	s.boot(ctx, i)
}

// Halt stops all machines and leaves their instances' states as they are, so
// that Resume starts them again.
func (s *Service) Halt(ctx context.Context) {
	s.mu.Lock()
	var halting sync.WaitGroup
	for id, m := range s.machines {
		if !m.halting {
			m.halting = true
			halting.Go(func() { _ = s.stop(ctx, m, id) }) // the next start finds what remained
		}
	}
	s.mu.Unlock()
	halting.Wait()
	s.reading.Wait()
}
