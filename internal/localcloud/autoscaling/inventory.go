package autoscaling

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// inventory sorts a group's nodes by what a refresh has to do with them, in one
// walk over them.
type inventory struct {
	stale   []*node // still to be replaced
	blocked []*node // the same, but protected or standing by, and waited for
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

// takeInventory walks over the nodes once.
func (p replacement) takeInventory() *inventory {
	stale := p.staleness()
	c := &inventory{last: 100}
	if points := p.Preferences.CheckpointPercentages; len(points) > 0 && p.forward() {
		c.last = points[len(points)-1]
	}
	warmup := p.warmup(p.Service)
	ignored := 0
	for _, n := range p.group.Nodes {
		fresh := n.Refresh == p.ID && n.Rollback != p.forward()
		switch {
		case n.leaving():
			if !fresh && n.Leaving == byRefresh && n.State != types.LifecycleStateTerminatingRetained {
				c.ending++
			}
			continue
		case !n.counts():
			p.countStandby(c, n, stale(n))
			continue
		case n.ready(p.now, warmup):
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
		case n.Protected && p.Preferences.ScaleInProtectedInstances == types.ScaleInProtectedInstancesIgnore:
			ignored++
		case n.Protected && p.Preferences.ScaleInProtectedInstances == types.ScaleInProtectedInstancesWait:
			c.blocked = append(c.blocked, n)
		default:
			c.stale = append(c.stale, n)
		}
	}
	c.total = max(0, p.group.desired()-ignored)
	return c
}

// countStandby waits for, ends or passes over a node that is standing by.
func (p replacement) countStandby(c *inventory, n *node, stale bool) {
	if !stale || n.State != types.LifecycleStateStandby {
		return
	}
	switch p.Preferences.StandbyInstances {
	case types.StandbyInstancesWait:
		c.blocked = append(c.blocked, n)
	case types.StandbyInstancesTerminate:
		if !p.paused() {
			p.leave(n, byRequest)
		}
	}
}

// staleness tells which nodes have to be replaced. Forward, that is every
// node from before the refresh, or with skip matching every node unlike the
// target. Backward, it is every node that was moved, and every other one like
// the target that is unlike the saved configuration. A configuration that
// cannot be resolved any more is like no node.
func (p replacement) staleness() func(*node) bool {
	if p.forward() && !*p.Preferences.SkipMatching {
		return func(n *node) bool { return n.Refresh != p.ID }
	}
	target, err := p.resolve(p.source(p.group))
	if p.forward() {
		if err != nil {
			return func(n *node) bool { return n.Refresh != p.ID }
		}
		return func(n *node) bool { return n.ID != "" && !target.match(n) }
	}
	saved, _ := p.resolve(p.group.source())
	return func(n *node) bool {
		if n.Refresh == p.ID {
			return !n.Rollback
		}
		return target.match(n) && !saved.match(n)
	}
}

// done counts nodes that need nothing more.
func (c *inventory) done() int {
	count := c.settled
	for _, n := range c.fresh {
		if n.Done && n.well() {
			count++
		}
	}
	return count
}

// budget is how many more nodes may be replaced before the next checkpoint.
func (c *inventory) budget(r *refresh) int {
	left := len(c.stale) + len(c.blocked)
	percent := c.last
	if points := r.Preferences.CheckpointPercentages; r.forward() && r.Checkpoint < len(points) {
		percent = points[r.Checkpoint]
	}
	return min(len(c.stale), max(0, left-(c.total-ceilPercent(c.total, percent))))
}

// replaced tells whether percent of the nodes have been replaced, old ones
// told to go included.
func (c *inventory) replaced(percent int32) bool {
	quota := ceilPercent(c.total, percent)
	return c.done() >= quota && len(c.stale)+len(c.blocked) <= c.total-quota
}

// complete tells whether nothing is left to do: every node that should move
// has moved, is done, and what it replaced is gone.
func (c *inventory) complete(g *group) bool {
	return c.replaced(c.last) && c.ending == 0 && g.capacity() >= g.desired()
}

// obstacle says what a refresh without progress was waiting for.
func (c *inventory) obstacle(g *group) string {
	if len(c.stale) == 0 && len(c.blocked) > 0 {
		n := c.blocked[0]
		if n.Protected {
			return fmt.Sprintf("Waited too long for scale-in protection to be removed. For example: %s is protected from scale in.", n.ID)
		}
		return fmt.Sprintf("Waited too long for instances to leave standby. For example: %s is in Standby.", n.ID)
	}
	return fmt.Sprintf("Replacement instances of %s failed to launch or to become healthy for too long.", g.name())
}

// waiting says what the refresh is waiting for.
func (c *inventory) waiting() string {
	switch {
	case c.warming != nil:
		return fmt.Sprintf("Waiting for instances to warm up before continuing. For example: %s is warming up.", c.warming.ID)
	case c.booting != nil && c.booting.ID != "":
		return fmt.Sprintf("Waiting for instances to enter service before continuing. For example: %s is in %s.", c.booting.ID, c.booting.State)
	case c.failing != nil:
		return fmt.Sprintf("Waiting for instances to pass their health checks before continuing. For example: %s does not.", c.failing.ID)
	case len(c.stale) == 0 && len(c.blocked) > 0 && c.blocked[0].Protected:
		return fmt.Sprintf("Waiting for scale-in protection to be removed. For example: %s is protected from scale in.", c.blocked[0].ID)
	case len(c.stale) == 0 && len(c.blocked) > 0:
		return fmt.Sprintf("Waiting for instances to leave standby. For example: %s is in Standby.", c.blocked[0].ID)
	}
	return ""
}

// replaceSome takes out as many stale nodes as the bounds allow and sets how
// many nodes beyond desired may run. Nodes of no use are free to go: those
// not in service, and, on the way back, those that are not ready, since a
// rollback must not wait for what it is called to remove.
func (p replacement) replaceSome(c *inventory) {
	b := replacementBounds(p.group.desired(), aws.ToInt32(p.Preferences.MinHealthyPercentage), aws.ToInt32(p.Preferences.MaxHealthyPercentage))
	budget := c.budget(p.refresh)
	warmup := p.warmup(p.Service)
	var free, costly []*node
	for _, n := range c.stale {
		switch {
		case n.ID == "":
		case !n.inService(), !p.forward() && !n.ready(p.now, warmup):
			free = append(free, n)
		case n.ready(p.now, warmup):
			costly = append(costly, n)
		}
	}
	chosen := free[:min(len(free), budget)]
	room := min(c.ready-b.Floor, budget-len(chosen))
	chosen = append(chosen, p.group.chooseLeaving(costly, room)...)
	for _, n := range chosen {
		p.leave(n, byRefresh)
	}
	p.group.surge = max(0, min(b.Surge, budget-len(chosen)))
}
