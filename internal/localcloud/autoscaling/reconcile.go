package autoscaling

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// minPause bounds how often a very fast cloud reconciles in real time.
const minPause = 50 * time.Millisecond

// maxSteps bounds the steps at one moment; a group that would go round in
// circles goes on at the next.
const maxSteps = 10

// reconcile moves one group forward at one moment. It changes the group and
// collects what has to be done outside, once the lock is released.
type reconcile struct {
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

// Run reconciles all groups until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(max(s.scaled(time.Second), minPause))
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

// tick reconciles every group until nothing moves any more at this moment, and
// tells whether anything did.
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

// step reconciles a group once and does what that asks for.
func (s *Service) step(ctx context.Context, g *group) bool {
	s.mu.Lock()
	c := &reconcile{Service: s, group: g, now: time.Now()}
	c.run()
	s.mu.Unlock()
	for _, l := range c.launches {
		c.launch(ctx, l.node, l.spec)
	}
	for _, n := range c.ends {
		c.terminate(ctx, n)
	}
	return c.changed
}

// run keeps an order: nodes first, so that everything after sees them as they
// are; capacity last, so that it makes up for all the rest.
func (c *reconcile) run() {
	for _, n := range c.group.Nodes {
		transition{c, n}.advance()
	}
	c.forgetGone()
	if c.group.Deleting {
		c.bury()
		return
	}
	c.replaceUnhealthy()
	if r := c.group.active(); r != nil {
		replacement{c, r}.advance()
	} else {
		c.group.surge = 0
	}
	c.adjustCapacity()
}

// forgetGone forgets nodes that are gone.
func (c *reconcile) forgetGone() {
	gone := func(n *node) bool { return n.State == types.LifecycleStateTerminated }
	if slices.ContainsFunc(c.group.Nodes, gone) {
		c.group.Nodes = slices.DeleteFunc(c.group.Nodes, gone)
		c.changed = true
	}
}

// bury removes a group that is being deleted once its last node is gone.
func (c *reconcile) bury() {
	if len(c.group.Nodes) > 0 {
		return
	}
	c.groups = slices.DeleteFunc(c.groups, func(g *group) bool { return g == c.group })
	for _, a := range c.group.Activities {
		a.AutoScalingGroupState = aws.String("Deleted")
	}
	c.buried = append(c.buried, c.group.Activities...)
	c.group.Activities = nil
}

// launch starts a planned node's instance and records the outcome.
func (c *reconcile) launch(ctx context.Context, n *node, spec ec2.LaunchSpec) {
	id, err := c.options.Instances.Launch(ctx, spec)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.launchFailed(n, err)
		return
	}
	n.ID = id
	c.group.Failures = 0
	if a := c.group.Activities.find(n.Up); a != nil {
		a.Description = aws.String(launchText + ": " + id)
	}
	c.group.Activities.progress(n.Up, types.ScalingActivityStatusCodePreInService, 25)
}

const launchText = "Launching a new EC2 instance"

// launchFailed drops a node that could not be launched and slows the group
// down, as the service does.
func (c *reconcile) launchFailed(n *node, err error) {
	g := c.group
	text := message(err) + " Launching EC2 instance failed."
	if a := g.Activities.find(n.Up); a != nil {
		a.Description = aws.String(launchText + ".  Status Reason: " + text)
	}
	g.Activities.end(n.Up, types.ScalingActivityStatusCodeFailed, text, c.now)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(other *node) bool { return other == n })
	pause := time.Duration(min(10<<min(g.Failures, 5), 300)) * time.Second
	g.Failures++
	g.RetryAt = c.now.Add(c.scaled(pause))
	c.options.Log.Info("launching a node failed", "group", g.name(), "cause", err)
}

// terminate terminates a node's instance.
func (c *reconcile) terminate(ctx context.Context, n *node) {
	err := c.options.Instances.Terminate(ctx, n.ID)
	if err == nil {
		return
	}
	c.options.Log.Warn("terminating a node failed", "group", c.group.name(), "instance", n.ID, "cause", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	n.Ended = false // asked again a little later
}
