package autoscaling

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	launching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	terminating = "autoscaling:EC2_INSTANCE_TERMINATING"

	resultContinue = "CONTINUE"
	resultAbandon  = "ABANDON"

	maxHooks         = 50
	maxGlobalTimeout = 172800
)

// action is one hook's hold on one node in transition.
type action struct {
	Hook     string
	Token    string
	Result   string // "" while it is open
	TimedOut bool
	Deadline time.Time
	Global   time.Time
}

// open starts an action for every hook of the transition.
func (t transition) open(transition string) {
	t.Actions = nil
	for _, h := range t.group.Hooks {
		if aws.ToString(h.LifecycleTransition) != transition {
			continue
		}
		t.Actions = append(t.Actions, &action{
			Hook: *h.LifecycleHookName, Token: uuid(),
			Deadline: t.now.Add(t.seconds(*h.HeartbeatTimeout)),
			Global:   t.now.Add(t.seconds(*h.GlobalTimeout)),
		})
	}
}

// expire gives overdue actions their hook's default result. An action whose
// hook was deleted is let go.
func (t transition) expire() {
	for _, a := range t.Actions {
		if a.Result != "" {
			continue
		}
		hook := t.group.Hooks.find(a.Hook)
		switch {
		case hook == nil:
			a.Result = resultContinue
		case !t.now.Before(a.Deadline):
			a.Result, a.TimedOut = *hook.DefaultResult, true
		}
	}
}

// verdict sums a node's actions up: abandoned is the first that was, and
// waiting whether one is still open. An abandonment ends all waiting.
func (n *node) verdict() (abandoned *action, waiting bool) {
	for _, a := range n.Actions {
		if a.Result == resultAbandon {
			return a, false
		}
		waiting = waiting || a.Result == ""
	}
	return nil, waiting
}

// hookList is a group's hooks.
type hookList []types.LifecycleHook

// find returns a hook by name, or nil.
func (l hookList) find(name string) *types.LifecycleHook {
	i := slices.IndexFunc(l, func(h types.LifecycleHook) bool { return *h.LifecycleHookName == name })
	if i < 0 {
		return nil
	}
	return &l[i]
}

func (s *Service) putLifecycleHook(_ context.Context, in *autoscaling.PutLifecycleHookInput) (*autoscaling.PutLifecycleHookOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error { return g.putHook(in) })
	return &autoscaling.PutLifecycleHookOutput{}, err
}

func (g *group) putHook(in *autoscaling.PutLifecycleHookInput) error {
	name := aws.ToString(in.LifecycleHookName)
	if name == "" {
		return invalid("1 validation error detected: Value null at 'lifecycleHookName' failed to satisfy constraint: Member must not be null")
	}
	old := g.Hooks.find(name)
	h := types.LifecycleHook{
		AutoScalingGroupName: aws.String(g.name()), LifecycleHookName: aws.String(name),
		DefaultResult: aws.String(resultAbandon), HeartbeatTimeout: aws.Int32(3600),
	}
	if old != nil {
		h = *old
	}
	h.LifecycleTransition = cmp.Or(in.LifecycleTransition, h.LifecycleTransition)
	h.DefaultResult = cmp.Or(in.DefaultResult, h.DefaultResult)
	h.HeartbeatTimeout = cmp.Or(in.HeartbeatTimeout, h.HeartbeatTimeout)
	h.NotificationMetadata = cmp.Or(in.NotificationMetadata, h.NotificationMetadata)
	h.NotificationTargetARN = cmp.Or(in.NotificationTargetARN, h.NotificationTargetARN)
	h.RoleARN = cmp.Or(in.RoleARN, h.RoleARN)
	if err := checkHook(h); err != nil {
		return err
	}
	h.GlobalTimeout = aws.Int32(min(maxGlobalTimeout, 100**h.HeartbeatTimeout))
	if old != nil {
		*old = h
		return nil
	}
	if len(g.Hooks) == maxHooks {
		return invalid("The maximum number of lifecycle hooks has been reached for this AutoScalingGroup: %d", maxHooks)
	}
	g.Hooks = append(g.Hooks, h)
	return nil
}

func checkHook(h types.LifecycleHook) error {
	switch transition := aws.ToString(h.LifecycleTransition); {
	case transition == "":
		return invalid("LifecycleTransition is required when creating a lifecycle hook")
	case transition != launching && transition != terminating:
		return invalid("Invalid Lifecycle Transition: %s", transition)
	case *h.HeartbeatTimeout < 30 || *h.HeartbeatTimeout > 7200:
		return invalid("HeartbeatTimeout must be between 30 and 7200 seconds")
	case *h.DefaultResult != resultContinue && *h.DefaultResult != resultAbandon:
		return invalid("DefaultResult must be either CONTINUE or ABANDON")
	}
	return nil
}

func (s *Service) deleteLifecycleHook(_ context.Context, in *autoscaling.DeleteLifecycleHookInput) (*autoscaling.DeleteLifecycleHookOutput, error) {
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		name := aws.ToString(in.LifecycleHookName)
		if g.Hooks.find(name) == nil {
			return invalid("No Lifecycle Hook found with name %s", name)
		}
		g.Hooks = slices.DeleteFunc(g.Hooks, func(h types.LifecycleHook) bool { return *h.LifecycleHookName == name })
		return nil
	})
	return &autoscaling.DeleteLifecycleHookOutput{}, err
}

func (s *Service) describeLifecycleHooks(_ context.Context, in *autoscaling.DescribeLifecycleHooksInput) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeLifecycleHooksOutput{LifecycleHooks: []types.LifecycleHook{}}
	for _, h := range g.Hooks {
		if len(in.LifecycleHookNames) == 0 || slices.Contains(in.LifecycleHookNames, *h.LifecycleHookName) {
			out.LifecycleHooks = append(out.LifecycleHooks, h)
		}
	}
	return out, nil
}

func (s *Service) completeLifecycleAction(_ context.Context, in *autoscaling.CompleteLifecycleActionInput) (*autoscaling.CompleteLifecycleActionOutput, error) {
	result := strings.ToUpper(aws.ToString(in.LifecycleActionResult))
	if result != resultContinue && result != resultAbandon {
		return nil, invalid("Invalid lifecycle action result: %s", aws.ToString(in.LifecycleActionResult))
	}
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		a, err := g.openAction(aws.ToString(in.LifecycleHookName), aws.ToString(in.InstanceId), aws.ToString(in.LifecycleActionToken))
		if err != nil {
			return err
		}
		a.Result = result
		return nil
	})
	return &autoscaling.CompleteLifecycleActionOutput{}, err
}

func (s *Service) recordLifecycleActionHeartbeat(_ context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	now := time.Now()
	err := s.changeGroup(in.AutoScalingGroupName, func(g *group) error {
		name := aws.ToString(in.LifecycleHookName)
		a, err := g.openAction(name, aws.ToString(in.InstanceId), aws.ToString(in.LifecycleActionToken))
		if err != nil {
			return err
		}
		hook := g.Hooks.find(name)
		if hook == nil {
			return invalid("No Lifecycle Hook found with name %s", name)
		}
		a.Deadline = now.Add(s.seconds(*hook.HeartbeatTimeout))
		if a.Deadline.After(a.Global) {
			a.Deadline = a.Global
		}
		return nil
	})
	return &autoscaling.RecordLifecycleActionHeartbeatOutput{}, err
}

// openAction finds the hold that a hook has on a node, by instance or token.
func (g *group) openAction(hook, instanceID, token string) (*action, error) {
	if instanceID == "" && token == "" {
		return nil, invalid("Either a lifecycle action token or an instance id is required")
	}
	for _, n := range g.Nodes {
		if instanceID != "" && n.ID != instanceID {
			continue
		}
		for _, a := range n.Actions {
			if a.Result == "" && a.Hook == hook && (token == "" || a.Token == token) {
				return a, nil
			}
		}
	}
	if token != "" {
		return nil, invalid("No active Lifecycle Action found with token %s", token)
	}
	return nil, invalid("No active Lifecycle Action found with instance ID %s", instanceID)
}
