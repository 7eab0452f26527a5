package autoscaling

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	causeEC2  = "an EC2 health check indicating it has been terminated or stopped"
	causeELB  = "an ELB system health check failure"
	causeUser = "a user health-check"
)

// unhealthyShare is the percentage of desired capacity that may be replaced
// for bad health at one time.
const unhealthyShare = 10

// check asks for a node's health: while it is new each time, later every
// few seconds, as the service's view lags too.
func (t transition) check() {
	if t.now.Before(t.NextCheck) {
		return
	}
	old := t.Done || !t.group.moving(t.node)
	if old {
		t.NextCheck = t.now.Add(t.scaled(checkEvery))
	}
	state, _, ok := t.options.Instances.State(t.ID)
	alive := ok && state == running
	passing, condemned := t.askTargets()
	t.Passing = alive && (passing || old) // an old node is as good as its health
	if t.group.suspended("HealthCheck") || t.Health == unhealthy {
		return
	}
	switch {
	case !alive:
		t.condemn(causeEC2)
	case condemned && !t.now.Before(t.InService.Add(t.seconds(aws.ToInt32(t.group.Settings.HealthCheckGracePeriod)))):
		t.condemn(causeELB)
	}
}

// moving tells whether a node was launched under the active refresh.
func (g *group) moving(n *node) bool {
	r := g.active()
	return r != nil && n.Refresh == r.ID
}

func (t transition) condemn(cause string) {
	t.Health, t.Verdict = unhealthy, cause
	t.changed = true
}

// askTargets sums up what the node's target groups say: passing when all call
// it healthy, condemned when one calls it unhealthy that has called any node
// healthy before. Without ELB checks they are not asked for a verdict.
func (t transition) askTargets() (passing, condemned bool) {
	passing = true
	for _, arn := range t.group.Settings.TargetGroupARNs {
		state, _ := t.options.Targets.Health(arn, t.ID)
		if state == "healthy" && !t.group.Passed[arn] {
			t.group.Passed[arn] = true
			t.changed = true
		}
		passing = passing && state == "healthy"
		condemned = condemned || state == "unhealthy" && t.group.Passed[arn]
	}
	if !t.group.checksELB() {
		return true, false
	}
	return passing, condemned
}

// replaceUnhealthy takes unhealthy nodes out, a few at a time: at once by
// default; with a maintenance policy that keeps all of them, after their
// replacements are in service.
func (c *reconcile) replaceUnhealthy() {
	g := c.group
	g.healthSurge = 0
	if g.suspended("ReplaceUnhealthy") || g.suspended("Terminate") {
		return
	}
	room := max(1, g.desired()*unhealthyShare/100)
	well := 0
	var sick []*node
	for _, n := range g.Nodes {
		switch {
		case n.leaving() && n.Leaving == byHealth:
			room--
		case n.inService() && n.Health == unhealthy:
			sick = append(sick, n)
		case n.well():
			well++
		}
	}
	sick = sick[:max(0, min(room, len(sick)))]
	if p := g.Settings.InstanceMaintenancePolicy; p != nil && aws.ToInt32(p.MinHealthyPercentage) >= 100 && well < g.desired() {
		g.healthSurge = len(sick)
		sick = slices.DeleteFunc(sick, func(n *node) bool { return n.Verdict != causeEC2 }) // dead ones hold no capacity
		g.healthSurge -= len(sick)
	}
	for _, n := range sick {
		c.leave(n, byHealth)
	}
}
