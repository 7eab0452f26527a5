package rollout

import "time"

// RefreshOptions override what a release chooses by the group's size. The zero
// value of a field means: choose.
type RefreshOptions struct {
	MinHealthy      int
	MaxHealthy      int
	Warmup          *time.Duration
	BakeTime        *time.Duration
	Checkpoints     []int
	CheckpointDelay time.Duration
	Alarms          []string
	Protected       string // Refresh, Ignore or Wait
	Standby         string // Terminate, Ignore or Wait
}

// preferencesFor chooses how a refresh goes through a group, so that healthy
// capacity never sinks below what the group has promised: nodes are always
// launched before others are terminated. Every preference is sent, because
// AWS's defaults would terminate first, wait an hour for protected nodes and
// undo nothing.
func preferencesFor(g Group, o RefreshOptions) Preferences {
	p := Preferences{
		MinHealthy:   100,
		MaxHealthy:   maxHealthyFor(g.Desired),
		Warmup:       warmupFor(g),
		SkipMatching: true,
		AutoRollback: true,
		Alarms:       o.Alarms,
		Protected:    "Refresh",
		Standby:      "Ignore",
		Checkpoints:  o.Checkpoints,
	}
	if len(o.Checkpoints) > 0 {
		p.CheckpointDelay = orDefault(o.CheckpointDelay, 5*time.Minute)
	}
	if len(o.Alarms) > 0 {
		p.BakeTime = 5 * time.Minute
	}
	return p.overridden(o)
}

func (p Preferences) overridden(o RefreshOptions) Preferences {
	if o.MinHealthy != 0 {
		p.MinHealthy = o.MinHealthy
	}
	if o.MaxHealthy != 0 {
		p.MaxHealthy = o.MaxHealthy
	}
	if o.Warmup != nil {
		p.Warmup = *o.Warmup
	}
	if o.BakeTime != nil {
		p.BakeTime = *o.BakeTime
	}
	if o.Protected != "" {
		p.Protected = o.Protected
	}
	if o.Standby != "" {
		p.Standby = o.Standby
	}
	return p
}

// maxHealthyFor makes room for one node more in a group of up to ten, for a
// tenth more in a larger one, and for twice a group of one. AWS rounds the
// ceiling down.
func maxHealthyFor(desired int) int {
	switch {
	case desired <= 1:
		return 200
	case desired >= 10:
		return 110
	}
	return 100 + (100+desired-1)/desired
}

// warmupFor is the group's own warm-up, else its grace period: below that a
// node could count as done before its load balancer may condemn it.
func warmupFor(g Group) time.Duration {
	if g.Warmup >= 0 {
		return g.Warmup
	}
	return g.Grace
}
