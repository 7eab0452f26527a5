package autoscaling

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	startDelay      = 2 * time.Second     // Pending takes a moment
	progressTimeout = time.Hour           // without progress, before a refresh gives up
	refreshLife     = 14 * 24 * time.Hour // of replacing in total
	ringing         = "ALARM"
)

// refresh is one instance refresh. Its fields are exported for its snapshot.
type refresh struct {
	ID          string
	Status      types.InstanceRefreshStatus
	Reason      string
	Created     time.Time
	Started     time.Time
	Ended       time.Time
	Preferences types.RefreshPreferences
	Desired     *types.DesiredConfiguration
	Percent     int
	ToUpdate    int
	Rollback    *types.RollbackDetails
	// Progress is when a replacement was last completed: progressTimeout counts from there.
	Progress time.Time
	// Checkpoint is the index of the one ahead; Resume ends the pause at the
	// one just reached.
	Checkpoint int
	Resume     time.Time
	BakeUntil  time.Time
	// Settle makes a cancellation wait for nodes in transition.
	Settle bool
}

func (r *refresh) ended() bool { return !r.Ended.IsZero() }

// forward tells whether the refresh moves nodes to its target, not back.
func (r *refresh) forward() bool {
	switch r.Status {
	case types.InstanceRefreshStatusPending, types.InstanceRefreshStatusInProgress, types.InstanceRefreshStatusBaking:
		return true
	}
	return false
}

// source is what the refresh moves nodes to.
func (r *refresh) source(g *group) source {
	if r.Desired == nil {
		return g.source()
	}
	return source{Template: r.Desired.LaunchTemplate, Policy: r.Desired.MixedInstancesPolicy}
}

func (r *refresh) warmup(s *Service) time.Duration {
	return s.seconds(aws.ToInt32(r.Preferences.InstanceWarmup))
}

// replacement is a group's active refresh, at one moment.
type replacement struct {
	*reconcile
	*refresh
}

// advance moves the refresh on.
func (p replacement) advance() {
	switch p.Status {
	case types.InstanceRefreshStatusPending:
		if !p.now.Before(p.Created.Add(p.scaled(startDelay))) {
			p.Started, p.Progress = p.now, p.now
			p.enterStatus(types.InstanceRefreshStatusInProgress, "")
		}
	case types.InstanceRefreshStatusInProgress, types.InstanceRefreshStatusRollbackInProgress:
		p.replaceNodes()
	case types.InstanceRefreshStatusBaking:
		p.bake()
	case types.InstanceRefreshStatusCancelling:
		p.settle()
	}
}

func (p replacement) enterStatus(status types.InstanceRefreshStatus, why string) {
	p.Status, p.Reason = status, why
	p.changed = true
}

// replaceNodes moves some nodes, in either direction.
func (p replacement) replaceNodes() {
	c := p.takeInventory()
	p.account(c)
	if alarm := p.ringingAlarm(); alarm != "" {
		p.giveUp(fmt.Sprintf("CloudWatch alarm %s is in ALARM state.", alarm))
		return
	}
	if p.paused() {
		p.Progress = p.now
		p.Reason = "Paused: the InstanceRefresh, Launch or Terminate process is suspended."
		return
	}
	switch {
	case p.atCheckpoint(c):
	case c.complete(p.group):
		p.complete()
	case p.overdue(c):
		p.giveUp(c.obstacle(p.group))
	default:
		p.replaceSome(c)
		p.Reason = c.waiting()
	}
}

// account writes progress down. Rolling back, the percentage falls and the
// number of nodes that never moved stands still.
func (p replacement) account(c *inventory) {
	for _, n := range c.fresh {
		if !n.Done && n.ready(p.now, p.warmup(p.Service)) {
			n.Done = true
			p.Progress = p.now
			p.changed = true
		}
	}
	if p.forward() {
		p.Percent = floorPercent(c.done(), c.total)
		p.ToUpdate = max(0, len(c.stale)+len(c.blocked)-max(0, p.group.capacity()-p.group.desired()))
		return
	}
	moved := len(c.stale) + len(c.blocked) + len(c.fresh) - (c.done() - c.settled)
	p.Percent = min(int(*p.Rollback.PercentageCompleteOnRollback), floorPercent(moved, c.total))
}

// ringingAlarm names an alarm that fails the refresh. A rollback goes on
// under a ringing alarm, which is mostly what started it.
func (p replacement) ringingAlarm() string {
	if !p.forward() {
		return ""
	}
	for _, name := range p.Preferences.AlarmSpecification.Alarms {
		if state, ok := p.options.Alarms.AlarmState(name); ok && state == ringing {
			return name
		}
	}
	return ""
}

func (p replacement) paused() bool {
	g := p.group
	return g.suspended("InstanceRefresh") || g.suspended("Launch") || g.suspended("Terminate")
}

// atCheckpoint pauses a refresh that has replaced as much as its next
// checkpoint says. The time without progress stands still meanwhile.
func (p replacement) atCheckpoint(c *inventory) bool {
	if p.now.Before(p.Resume) {
		p.Progress = p.now
		return true
	}
	checkpoints := p.Preferences.CheckpointPercentages
	if !p.forward() || p.Checkpoint >= len(checkpoints) || !c.replaced(checkpoints[p.Checkpoint]) {
		return false
	}
	reached := checkpoints[p.Checkpoint]
	for p.Checkpoint < len(checkpoints) && c.replaced(checkpoints[p.Checkpoint]) {
		p.Checkpoint++
	}
	p.changed = true
	if p.Checkpoint == len(checkpoints) {
		return false // nothing follows the last one
	}
	p.Resume = p.now.Add(p.seconds(*p.Preferences.CheckpointDelay))
	p.Reason = fmt.Sprintf("Waiting at checkpoint %d%%.", reached)
	return true
}

// overdue tells whether the refresh has been without progress for too long.
// Nodes that are about to be done, and old ones on their way out, count as
// progress under way.
func (p replacement) overdue(c *inventory) bool {
	if p.now.Sub(p.Started) >= p.scaled(refreshLife) {
		return true
	}
	return p.now.Sub(p.Progress) >= p.scaled(progressTimeout) && c.warming == nil && c.ending == 0
}

// giveUp ends a refresh that cannot go on: with a rollback if it asked for
// one, else where it stands.
func (p replacement) giveUp(why string) {
	switch {
	case !p.forward():
		p.finish(types.InstanceRefreshStatusRollbackFailed, why)
	case *p.Preferences.AutoRollback:
		p.rollBack(why, p.now)
		p.changed = true
	default:
		p.finish(types.InstanceRefreshStatusFailed, why)
	}
}

// rollBack turns the refresh round, under the same id.
func (r *refresh) rollBack(why string, now time.Time) {
	r.Rollback = &types.RollbackDetails{
		InstancesToUpdateOnRollback:  aws.Int32(int32(r.ToUpdate)),
		PercentageCompleteOnRollback: aws.Int32(int32(r.Percent)),
		RollbackReason:               aws.String(why),
		RollbackStartTime:            aws.Time(now),
	}
	if r.Started.IsZero() {
		r.Started = now
	}
	r.Status, r.Reason, r.Progress, r.Resume = types.InstanceRefreshStatusRollbackInProgress, why, now, time.Time{}
}

// complete is reached when every node that had to move has moved and is done.
func (p replacement) complete() {
	bake := aws.ToInt32(p.Preferences.BakeTime)
	switch {
	case !p.forward():
		p.Percent = 0
		p.finish(types.InstanceRefreshStatusRollbackSuccessful, p.Reason)
	case bake > 0:
		p.BakeUntil = p.now.Add(p.seconds(bake))
		p.enterStatus(types.InstanceRefreshStatusBaking, "")
	default:
		p.succeed()
	}
}

func (p replacement) bake() {
	p.group.surge = 0
	if alarm := p.ringingAlarm(); alarm != "" {
		p.giveUp(fmt.Sprintf("CloudWatch alarm %s is in ALARM state.", alarm))
		return
	}
	if !p.now.Before(p.BakeUntil) {
		p.succeed()
	}
}

// succeed makes the desired configuration the group's own: the only place
// where a refresh changes the group.
func (p replacement) succeed() {
	if p.Desired != nil {
		p.source(p.group).give(&p.group.Settings)
	}
	p.finish(types.InstanceRefreshStatusSuccessful, "")
}

func (p replacement) finish(status types.InstanceRefreshStatus, why string) {
	p.group.surge = 0
	p.Ended = p.now
	p.enterStatus(status, why)
}

// settle ends a cancellation, at once or when nothing is in transition.
func (p replacement) settle() {
	p.group.surge = 0
	if p.Settle {
		for _, n := range p.group.Nodes {
			if n.transitioning() {
				return
			}
		}
	}
	p.finish(types.InstanceRefreshStatusCancelled, p.Reason)
}
