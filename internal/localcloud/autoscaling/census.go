package autoscaling

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// census sorts a group's nodes by what a refresh has to do with them, in one
// walk over them.
type census struct {
	stale   []*node // still to be replaced
	barred  []*node // the same, but protected or standing by, and waited for
	fresh   []*node // launched under this direction of the refresh
	settled int     // need no replacement and were there before
	ready   int     // of all, of use to the site now
	ending  int     // replaced and on their way out
	total   int     // nodes that the refresh is about
	warming *node   // one that is well and not yet warm
	booting *node   // one that is not in service yet
	failing *node   // one that is in service and does not pass its checks
	// last is the percentage at which the refresh stops for good.
	last int32
}

// takeCensus walks over the nodes once.
func (t *turn) takeCensus(r *refresh) *census {
	stale := t.staleness(r)
	c := &census{last: 100}
	if points := r.Preferences.CheckpointPercentages; len(points) > 0 && r.forward() {
		c.last = points[len(points)-1]
	}
	warmup := r.warmup(t.Service)
	ignored := 0
	for _, n := range t.group.Nodes {
		fresh := n.Refresh == r.ID && n.Rollback != r.forward()
		switch {
		case n.leaving():
			if !fresh && n.Leaving == byRefresh && n.State != types.LifecycleStateTerminatingRetained {
				c.ending++
			}
			continue
		case !n.counts():
			t.countStandby(r, c, n, stale(n))
			continue
		case n.ready(t.now, warmup):
			c.ready++
		case n.well() && fresh:
			c.warming = n
		case fresh && !n.inService():
			c.booting = n
		case fresh && !n.well():
			c.failing = n
		}
		switch {
		case !stale(n) && fresh:
			c.fresh = append(c.fresh, n)
		case !stale(n):
			c.settled++
		case n.Protected && r.Preferences.ScaleInProtectedInstances == types.ScaleInProtectedInstancesIgnore:
			ignored++
		case n.Protected && r.Preferences.ScaleInProtectedInstances == types.ScaleInProtectedInstancesWait:
			c.barred = append(c.barred, n)
		default:
			c.stale = append(c.stale, n)
		}
	}
	c.total = max(0, t.group.desired()-ignored)
	return c
}

// countStandby waits for, ends or passes over a node that is standing by.
func (t *turn) countStandby(r *refresh, c *census, n *node, stale bool) {
	if !stale || n.State != types.LifecycleStateStandby {
		return
	}
	switch r.Preferences.StandbyInstances {
	case types.StandbyInstancesWait:
		c.barred = append(c.barred, n)
	case types.StandbyInstancesTerminate:
		if !t.paused() {
			t.leave(n, byRequest)
		}
	}
}

// staleness tells which nodes have to be replaced. Forward, that is every
// node from before the refresh, or with skip matching every node unlike the
// target. Backward, it is every node that was moved, and every other one like
// the target that is unlike the saved configuration. A configuration that
// cannot be resolved any more is like no node.
func (t *turn) staleness(r *refresh) func(*node) bool {
	if r.forward() && !*r.Preferences.SkipMatching {
		return func(n *node) bool { return n.Refresh != r.ID }
	}
	target, err := t.resolve(r.source(t.group))
	if r.forward() {
		if err != nil {
			return func(n *node) bool { return n.Refresh != r.ID }
		}
		return func(n *node) bool { return n.ID != "" && !target.match(n) }
	}
	saved, _ := t.resolve(t.group.source())
	return func(n *node) bool {
		if n.Refresh == r.ID {
			return !n.Rollback
		}
		return target.match(n) && !saved.match(n)
	}
}

// done counts nodes that need nothing more.
func (c *census) done() int {
	count := c.settled
	for _, n := range c.fresh {
		if n.Done && n.well() {
			count++
		}
	}
	return count
}

// budget is how many more nodes may be replaced before the next checkpoint.
func (c *census) budget(r *refresh) int {
	left := len(c.stale) + len(c.barred)
	percent := c.last
	if points := r.Preferences.CheckpointPercentages; r.forward() && r.Checkpoint < len(points) {
		percent = points[r.Checkpoint]
	}
	return min(len(c.stale), max(0, left-(c.total-ceilPercent(c.total, percent))))
}

// replaced tells whether percent of the nodes have been replaced, old ones
// told to go included.
func (c *census) replaced(percent int32) bool {
	quota := ceilPercent(c.total, percent)
	return c.done() >= quota && len(c.stale)+len(c.barred) <= c.total-quota
}

// complete tells whether nothing is left to do: every node that should move
// has moved, is done, and what it replaced is gone.
func (c *census) complete(g *group) bool {
	return c.replaced(c.last) && c.ending == 0 && g.capacity() >= g.desired()
}

// obstacle says what a refresh without progress was waiting for.
func (c *census) obstacle(g *group) string {
	if len(c.stale) == 0 && len(c.barred) > 0 {
		n := c.barred[0]
		if n.Protected {
			return fmt.Sprintf("Waited too long for scale-in protection to be removed. For example: %s is protected from scale in.", n.ID)
		}
		return fmt.Sprintf("Waited too long for instances to leave standby. For example: %s is in Standby.", n.ID)
	}
	return fmt.Sprintf("Replacement instances of %s failed to launch or to become healthy for too long.", g.name())
}

// waiting says what the refresh is waiting for.
func (c *census) waiting() string {
	switch {
	case c.warming != nil:
		return fmt.Sprintf("Waiting for instances to warm up before continuing. For example: %s is warming up.", c.warming.ID)
	case c.booting != nil && c.booting.ID != "":
		return fmt.Sprintf("Waiting for instances to enter service before continuing. For example: %s is in %s.", c.booting.ID, c.booting.State)
	case c.failing != nil:
		return fmt.Sprintf("Waiting for instances to pass their health checks before continuing. For example: %s does not.", c.failing.ID)
	case len(c.stale) == 0 && len(c.barred) > 0 && c.barred[0].Protected:
		return fmt.Sprintf("Waiting for scale-in protection to be removed. For example: %s is protected from scale in.", c.barred[0].ID)
	case len(c.stale) == 0 && len(c.barred) > 0:
		return fmt.Sprintf("Waiting for instances to leave standby. For example: %s is in Standby.", c.barred[0].ID)
	}
	return ""
}

// replaceSome takes out as many stale nodes as the bounds allow and sets how
// many nodes beyond desired may run. Nodes of no use are free to go: those
// not in service, and, on the way back, those that are not ready, since a
// rollback must not wait for what it is called to remove.
func (t *turn) replaceSome(r *refresh, c *census) {
	b := replacementBounds(t.group.desired(), aws.ToInt32(r.Preferences.MinHealthyPercentage), aws.ToInt32(r.Preferences.MaxHealthyPercentage))
	budget := c.budget(r)
	warmup := r.warmup(t.Service)
	var free, costly []*node
	for _, n := range c.stale {
		switch {
		case n.ID == "":
		case !n.inService(), !r.forward() && !n.ready(t.now, warmup):
			free = append(free, n)
		case n.ready(t.now, warmup):
			costly = append(costly, n)
		}
	}
	chosen := free[:min(len(free), budget)]
	room := min(c.ready-b.Floor, budget-len(chosen))
	chosen = append(chosen, t.group.victims(costly, room)...)
	for _, n := range chosen {
		t.leave(n, byRefresh)
	}
	t.group.surge = max(0, min(b.Surge, budget-len(chosen)))
}
