package autoscaling

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// minTurn bounds how often a very fast cloud takes turns in real time.
const minTurn = 50 * time.Millisecond

// maxSteps bounds the turns taken at one moment; a group that would go round
// in circles goes on at the next.
const maxSteps = 10

// turn moves one group forward at one moment. It changes the group and
// collects what has to be done outside, once the lock is released.
type turn struct {
	*Service
	group    *group
	now      time.Time
	launches []launch
	ends     []*node
	changed  bool
}

// launch is a planned node and what to launch it from.
type launch struct {
	node *node
	spec ec2.LaunchSpec
}

// Run takes turns until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(max(s.scaled(time.Second), minTurn))
	defer ticker.Stop()
	for {
		if s.tick(ctx) {
			s.options.Changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// tick takes turns for every group until nothing moves any more at this
// moment, and tells whether anything did.
func (s *Service) tick(ctx context.Context) bool {
	s.mu.Lock()
	groups := slices.Clone(s.groups)
	s.mu.Unlock()
	moved := false
	for _, g := range groups {
		for range maxSteps {
			if !s.step(ctx, g) {
				break
			}
			moved = true
		}
	}
	return moved
}

// step takes one turn and does what it asks for.
func (s *Service) step(ctx context.Context, g *group) bool {
	s.mu.Lock()
	t := &turn{Service: s, group: g, now: time.Now()}
	t.take()
	s.mu.Unlock()
	for _, l := range t.launches {
		t.launch(ctx, l.node, l.spec)
	}
	for _, n := range t.ends {
		t.end(ctx, n)
	}
	return t.changed
}

// take is the order of a turn: nodes first, so that everything after sees
// them as they are; capacity last, so that it makes up for all the rest.
func (t *turn) take() {
	for _, n := range t.group.Nodes {
		t.advance(n)
	}
	t.sweep()
	if t.group.Deleting {
		t.bury()
		return
	}
	t.replaceUnhealthy()
	t.refresh()
	t.reconcile()
}

// sweep forgets nodes that are gone.
func (t *turn) sweep() {
	gone := func(n *node) bool { return n.State == types.LifecycleStateTerminated }
	if slices.ContainsFunc(t.group.Nodes, gone) {
		t.group.Nodes = slices.DeleteFunc(t.group.Nodes, gone)
		t.changed = true
	}
}

// bury removes a group that is being deleted once its last node is gone.
func (t *turn) bury() {
	if len(t.group.Nodes) > 0 {
		return
	}
	t.groups = slices.DeleteFunc(t.groups, func(g *group) bool { return g == t.group })
	for _, a := range t.group.Activities {
		a.AutoScalingGroupState = aws.String("Deleted")
	}
	t.buried = append(t.buried, t.group.Activities...)
	t.group.Activities = nil
}

// launch starts a planned node's instance and records the outcome.
func (t *turn) launch(ctx context.Context, n *node, spec ec2.LaunchSpec) {
	id, err := t.options.Instances.Launch(ctx, spec)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.launchFailed(n, err)
		return
	}
	n.ID = id
	t.group.Failures = 0
	if a := t.group.activity(n.Up); a != nil {
		a.Description = aws.String(launchText + ": " + id)
	}
	t.group.progress(n.Up, types.ScalingActivityStatusCodePreInService, 25)
}

const launchText = "Launching a new EC2 instance"

// launchFailed drops a node that could not be launched and slows the group
// down, as the service does.
func (t *turn) launchFailed(n *node, err error) {
	g := t.group
	text := message(err) + " Launching EC2 instance failed."
	if a := g.activity(n.Up); a != nil {
		a.Description = aws.String(launchText + ".  Status Reason: " + text)
	}
	g.end(n.Up, types.ScalingActivityStatusCodeFailed, text, t.now)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(other *node) bool { return other == n })
	pause := time.Duration(min(10<<min(g.Failures, 5), 300)) * time.Second
	g.Failures++
	g.RetryAt = t.now.Add(t.scaled(pause))
	t.options.Log.Info("launching a node failed", "group", g.name(), "cause", err)
}

// end terminates a node's instance.
func (t *turn) end(ctx context.Context, n *node) {
	err := t.options.Instances.Terminate(ctx, n.ID)
	if err == nil {
		return
	}
	t.options.Log.Warn("terminating a node failed", "group", t.group.name(), "instance", n.ID, "cause", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	n.Ended = false // asked again a little later
}
