package autoscaling

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// adjustCapacity launches what is missing from the group's capacity and takes in
// what is too much.
func (c *reconcile) adjustCapacity() {
	g := c.group
	missing := g.desired() + g.surge + g.healthSurge - g.capacity()
	switch {
	case missing > 0:
		c.scaleOut(missing)
	case missing < 0 && !g.settling():
		c.scaleIn(-missing)
	}
	if missing <= 0 {
		clear(g.Owed)
		g.Request = "" // answered
	}
}

// settling tells whether a cancelled refresh still waits for its nodes.
func (g *group) settling() bool {
	r := g.active()
	return r != nil && r.Status == types.InstanceRefreshStatusCancelling && r.Settle
}

// scaleOut plans nodes; they are launched once the lock is released.
func (c *reconcile) scaleOut(count int) {
	g := c.group
	if g.suspended("Launch") || c.now.Before(g.RetryAt) {
		return
	}
	c.changed = true
	from, err := c.resolve(g.launchSource())
	spread := newSpread(g, c.places(g))
	for range count {
		n := &node{
			State: types.LifecycleStatePending, Health: healthy, Launched: c.now,
			Place: spread.next(), Protected: *g.Settings.NewInstancesProtectedFromScaleIn,
		}
		if r := g.active(); r != nil && r.Status != types.InstanceRefreshStatusCancelling {
			n.Refresh, n.Rollback = r.ID, !r.forward()
		}
		n.Up = *g.begin(n, launchText, c.launchCause(g.pay()), c.now).ActivityId
		g.Nodes = append(g.Nodes, n)
		if err != nil {
			c.launchFailed(n, err)
			return
		}
		// After a failed launch the policy's next override has its turn.
		n.Choice = from.All[g.Failures%len(from.All)]
		c.launches = append(c.launches, launch{n, c.spec(n)})
	}
}

// spec is what the node is launched from. A subnet decides the zone by itself.
func (c *reconcile) spec(n *node) ec2.LaunchSpec {
	spec := ec2.LaunchSpec{
		TemplateID: n.Choice.TemplateID, Version: n.Choice.Version,
		InstanceType: n.Choice.InstanceType, ImageID: n.Choice.ImageID,
		SubnetID: n.Place.Subnet, Tags: c.group.nodeTags(),
	}
	if c, err := c.configuration(n.Choice.Configuration); err == nil {
		spec.Data = launchData(c)
	}
	if spec.SubnetID == "" {
		spec.Zone = n.Place.Zone
	}
	return spec
}

// pay tells what the next launch is for: what terminations promised, then
// what a refresh wants beyond desired capacity, then plain capacity.
func (g *group) pay() reason {
	for _, why := range []reason{byHealth, byRefresh} {
		if g.Owed[why] > 0 {
			g.Owed[why]--
			return why
		}
	}
	if g.surge > 0 && g.capacity() >= g.desired() {
		return byRefresh
	}
	return byCapacity
}

// scaleIn takes nodes out by the termination policies; nodes not in service
// or not well go first, protected ones never.
func (c *reconcile) scaleIn(count int) {
	g := c.group
	if g.suspended("Terminate") {
		return
	}
	var candidates []*node
	for _, n := range g.Nodes {
		if n.counts() && !n.Protected && n.ID != "" {
			candidates = append(candidates, n)
		}
	}
	for _, n := range g.chooseLeaving(candidates, count) {
		c.leave(n, byCapacity)
	}
}

// spread gives each new node the place that has fewest.
type spread struct {
	places []place
	counts []int
}

func newSpread(g *group, places []place) *spread {
	s := &spread{places: places}
	s.counts = make([]int, len(s.places))
	for _, n := range g.Nodes {
		if i := slices.Index(s.places, n.Place); i >= 0 && n.counts() {
			s.counts[i]++
		}
	}
	return s
}

func (s *spread) next() place {
	best := 0
	for i, c := range s.counts {
		if c < s.counts[best] {
			best = i
		}
	}
	s.counts[best]++
	return s.places[best]
}

// chooseLeaving chooses who goes: of the zone that has most nodes the first by the
// group's termination policy, again and again.
func (g *group) chooseLeaving(candidates []*node, count int) []*node {
	count = min(count, len(candidates))
	if count <= 0 {
		return nil
	}
	order := g.terminationOrder()
	zones := map[string][]*node{}
	weight := map[string]int{}
	for _, n := range g.Nodes {
		if n.counts() {
			weight[n.Place.Zone]++
		}
	}
	for _, n := range candidates {
		zones[n.Place.Zone] = append(zones[n.Place.Zone], n)
	}
	names := make([]string, 0, len(zones))
	for name, nodes := range zones {
		slices.SortStableFunc(nodes, order)
		names = append(names, name)
	}
	slices.Sort(names)
	var out []*node
	for len(out) < count {
		pick := ""
		for _, name := range names {
			if len(zones[name]) > 0 && (pick == "" || better(zones[name][0], zones[pick][0], weight[name]-weight[pick])) {
				pick = name
			}
		}
		out = append(out, zones[pick][0])
		zones[pick] = zones[pick][1:]
		weight[pick]--
	}
	return out
}

// better prefers nodes that are of no use, then the fuller zone.
func better(a, b *node, fuller int) bool {
	if a.well() != b.well() {
		return !a.well()
	}
	return fuller > 0
}

// terminationOrder compares nodes by use first and then by the group's
// termination policies, most expendable first.
func (g *group) terminationOrder() func(a, b *node) int {
	byAge := func(a, b *node) int { return a.Launched.Compare(b.Launched) }
	bySource := func(a, b *node) int { return a.Choice.older(b.Choice) }
	policies := []func(a, b *node) int{func(a, b *node) int { return rank(a) - rank(b) }}
	for _, name := range g.Settings.TerminationPolicies {
		switch name {
		case "OldestInstance", "ClosestToNextInstanceHour":
			policies = append(policies, byAge)
		case "NewestInstance":
			policies = append(policies, func(a, b *node) int { return byAge(b, a) })
		case "OldestLaunchTemplate", "OldestLaunchConfiguration":
			policies = append(policies, bySource)
		case "Default":
			policies = append(policies, bySource, byAge)
		}
	}
	return func(a, b *node) int {
		for _, p := range policies {
			if c := p(a, b); c != 0 {
				return c
			}
		}
		return strings.Compare(a.ID, b.ID)
	}
}

// rank is a node's use to the group, least first.
func rank(n *node) int {
	switch {
	case !n.inService():
		return 0
	case !n.well():
		return 1
	}
	return 2
}
