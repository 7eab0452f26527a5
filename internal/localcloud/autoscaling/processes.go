package autoscaling

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// processNames are what a group can be told to leave undone.
func processNames() []string {
	return []string{
		"AZRebalance", "AddToLoadBalancer", "AlarmNotification", "HealthCheck", "InstanceRefresh",
		"Launch", "RemoveFromLoadBalancerLowPriority", "ReplaceUnhealthy", "ScheduledActions", "Terminate",
	}
}

func (s *Service) suspendProcesses(_ context.Context, in *autoscaling.SuspendProcessesInput) (*autoscaling.SuspendProcessesOutput, error) {
	at := stamp(time.Now())
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		names, err := processes(in.ScalingProcesses)
		if err != nil {
			return err
		}
		for _, name := range names {
			if g.suspended(name) {
				continue
			}
			g.Settings.SuspendedProcesses = append(slices.Clone(g.Settings.SuspendedProcesses), types.SuspendedProcess{
				ProcessName: aws.String(name), SuspensionReason: aws.String("User suspended at " + at),
			})
		}
		return nil
	})
	return &autoscaling.SuspendProcessesOutput{}, err
}

func (s *Service) resumeProcesses(_ context.Context, in *autoscaling.ResumeProcessesInput) (*autoscaling.ResumeProcessesOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		names, err := processes(in.ScalingProcesses)
		if err != nil {
			return err
		}
		var kept []types.SuspendedProcess
		for _, p := range g.Settings.SuspendedProcesses {
			if !slices.Contains(names, *p.ProcessName) {
				kept = append(kept, p)
			}
		}
		g.Settings.SuspendedProcesses = kept
		return nil
	})
	return &autoscaling.ResumeProcessesOutput{}, err
}

// processes are the named ones, or all if none is named.
func processes(names []string) ([]string, error) {
	if len(names) == 0 {
		return processNames(), nil
	}
	for _, name := range names {
		if !slices.Contains(processNames(), name) {
			return nil, invalid("Invalid process name(s): %s", strings.Join(names, ", "))
		}
	}
	return names, nil
}
