package ec2

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// switchAll applies a change of state to all instances named, or to none when
// one of them is unknown or refuses.
func (s *Service) switchAll(ids []string, dryRun *bool, check func(*instance) error, change func(*instance)) ([]types.InstanceStateChange, error) {
	if len(ids) == 0 {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter instancesSet")
	}
	s.mu.Lock()
	found, err := s.asked(ids)
	for _, i := range found {
		if err == nil {
			err = check(i)
		}
	}
	if err == nil {
		err = refuseDryRun(dryRun)
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	var changes []types.InstanceStateChange
	for _, i := range found {
		before := describeState(i.State)
		change(i)
		id := i.ID
		changes = append(changes, types.InstanceStateChange{InstanceId: &id, PreviousState: before, CurrentState: describeState(i.State)})
	}
	s.mu.Unlock()
	s.options.Changed()
	return changes, nil
}

// among refuses instances that are in another state than those given.
func among(states ...types.InstanceStateName) func(*instance) error {
	return func(i *instance) error {
		if slices.Contains(states, i.State) {
			return nil
		}
		return wire.Errorf("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be changed: it is %s.", i.ID, i.State)
	}
}

func (s *Service) terminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput) (*ec2.TerminateInstancesOutput, error) {
	protected := func(i *instance) error {
		if i.Data.DisableApiTermination != nil && *i.Data.DisableApiTermination {
			return wire.Errorf("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", i.ID)
		}
		return nil
	}
	changes, err := s.switchAll(in.InstanceIds, in.DryRun, protected, func(i *instance) { s.terminate(ctx, i) })
	return &ec2.TerminateInstancesOutput{TerminatingInstances: changes}, err
}

func (s *Service) stopInstances(ctx context.Context, in *ec2.StopInstancesInput) (*ec2.StopInstancesOutput, error) {
	allowed := among(types.InstanceStateNameRunning, types.InstanceStateNameStopping, types.InstanceStateNameStopped)
	changes, err := s.switchAll(in.InstanceIds, in.DryRun, allowed, func(i *instance) {
		m := s.machines[i.ID]
		if i.State != types.InstanceStateNameRunning || m == nil || m.halting {
			return // halting while it runs: it is being rebooted
		}
		i.State, m.halting = types.InstanceStateNameStopping, true
		i.ReasonCode, i.Reason = "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"
		go s.halt(context.WithoutCancel(ctx), m, i.ID, types.InstanceStateNameStopped)
	})
	return &ec2.StopInstancesOutput{StoppingInstances: changes}, err
}

func (s *Service) startInstances(ctx context.Context, in *ec2.StartInstancesInput) (*ec2.StartInstancesOutput, error) {
	allowed := among(types.InstanceStateNameStopped, types.InstanceStateNamePending, types.InstanceStateNameRunning)
	changes, err := s.switchAll(in.InstanceIds, in.DryRun, allowed, func(i *instance) {
		if i.State != types.InstanceStateNameStopped {
			return
		}
		i.State, i.ReasonCode, i.Reason = types.InstanceStateNamePending, "", ""
		s.boot(ctx, i)
	})
	return &ec2.StartInstancesOutput{StartingInstances: changes}, err
}

// rebootInstances leaves the state at running, as EC2 does.
func (s *Service) rebootInstances(ctx context.Context, in *ec2.RebootInstancesInput) (*ec2.RebootInstancesOutput, error) {
	_, err := s.switchAll(in.InstanceIds, in.DryRun, among(types.InstanceStateNameRunning), func(i *instance) {
		if m := s.machines[i.ID]; m != nil && !m.halting {
			m.halting = true
			go s.reboot(context.WithoutCancel(ctx), m, i.ID)
		}
	})
	return &ec2.RebootInstancesOutput{}, err
}

func (s *Service) reboot(ctx context.Context, m *machine, id string) {
	_ = s.stop(ctx, m, id) // what remains is there for the next start to find
	s.bootAgain(ctx, m, id)
}

// bootAgain starts an instance whose machine was stopped without changing its
// state.
func (s *Service) bootAgain(ctx context.Context, m *machine, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.known(id)
	switch {
	case i == nil:
	case i.State == types.InstanceStateNameRunning:
		s.boot(ctx, i)
	default: // terminated or stopped in the meantime
		delete(s.machines, id)
		s.ended(i, i.ReasonCode, i.Reason)
	}
}
