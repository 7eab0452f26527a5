package autoscaling

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	startDelay  = 2 * time.Second     // Pending takes a moment
	patience    = time.Hour           // without progress, before a refresh gives up
	refreshLife = 14 * 24 * time.Hour // of replacing in total
	ringing     = "ALARM"
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
	// Progress is when a replacement was last completed: patience counts from there.
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

// refresh moves the group's active refresh on.
func (t *turn) refresh() {
	r := t.group.active()
	if r == nil {
		t.group.surge = 0
		return
	}
	switch r.Status {
	case types.InstanceRefreshStatusPending:
		if !t.now.Before(r.Created.Add(t.scaled(startDelay))) {
			r.Started, r.Progress = t.now, t.now
			t.enterStatus(r, types.InstanceRefreshStatusInProgress, "")
		}
	case types.InstanceRefreshStatusInProgress, types.InstanceRefreshStatusRollbackInProgress:
		t.replaceNodes(r)
	case types.InstanceRefreshStatusBaking:
		t.bake(r)
	case types.InstanceRefreshStatusCancelling:
		t.settle(r)
	}
}

func (t *turn) enterStatus(r *refresh, status types.InstanceRefreshStatus, why string) {
	r.Status, r.Reason = status, why
	t.changed = true
}

// replaceNodes is one turn of moving nodes, in either direction.
func (t *turn) replaceNodes(r *refresh) {
	c := t.takeCensus(r)
	t.account(r, c)
	if alarm := t.ringingAlarm(r); alarm != "" {
		t.giveUp(r, fmt.Sprintf("CloudWatch alarm %s is in ALARM state.", alarm))
		return
	}
	if t.paused() {
		r.Progress = t.now
		r.Reason = "Paused: the InstanceRefresh, Launch or Terminate process is suspended."
		return
	}
	switch {
	case t.atCheckpoint(r, c):
	case c.complete(t.group):
		t.complete(r)
	case t.overdue(r, c):
		t.giveUp(r, c.obstacle(t.group))
	default:
		t.replaceSome(r, c)
		r.Reason = c.waiting()
	}
}

// account writes progress down. Rolling back, the percentage falls and the
// number of nodes that never moved stands still.
func (t *turn) account(r *refresh, c *census) {
	for _, n := range c.fresh {
		if !n.Done && n.ready(t.now, r.warmup(t.Service)) {
			n.Done = true
			r.Progress = t.now
			t.changed = true
		}
	}
	if r.forward() {
		r.Percent = floorPercent(c.done(), c.total)
		r.ToUpdate = max(0, len(c.stale)+len(c.barred)-max(0, t.group.capacity()-t.group.desired()))
		return
	}
	moved := len(c.stale) + len(c.barred) + len(c.fresh) - (c.done() - c.settled)
	r.Percent = min(int(*r.Rollback.PercentageCompleteOnRollback), floorPercent(moved, c.total))
}

// ringingAlarm names an alarm that fails the refresh. A rollback goes on
// under a ringing alarm, which is mostly what started it.
func (t *turn) ringingAlarm(r *refresh) string {
	if !r.forward() {
		return ""
	}
	for _, name := range r.Preferences.AlarmSpecification.Alarms {
		if state, ok := t.options.Alarms.AlarmState(name); ok && state == ringing {
			return name
		}
	}
	return ""
}

func (t *turn) paused() bool {
	g := t.group
	return g.suspended("InstanceRefresh") || g.suspended("Launch") || g.suspended("Terminate")
}

// atCheckpoint pauses a refresh that has replaced as much as its next
// checkpoint says. The clock of patience stands still meanwhile.
func (t *turn) atCheckpoint(r *refresh, c *census) bool {
	if t.now.Before(r.Resume) {
		r.Progress = t.now
		return true
	}
	checkpoints := r.Preferences.CheckpointPercentages
	if !r.forward() || r.Checkpoint >= len(checkpoints) || !c.replaced(checkpoints[r.Checkpoint]) {
		return false
	}
	reached := checkpoints[r.Checkpoint]
	for r.Checkpoint < len(checkpoints) && c.replaced(checkpoints[r.Checkpoint]) {
		r.Checkpoint++
	}
	t.changed = true
	if r.Checkpoint == len(checkpoints) {
		return false // nothing follows the last one
	}
	r.Resume = t.now.Add(t.seconds(*r.Preferences.CheckpointDelay))
	r.Reason = fmt.Sprintf("Waiting at checkpoint %d%%.", reached)
	return true
}

// overdue tells whether the refresh has been without progress for too long.
// Nodes that are about to be done, and old ones on their way out, count as
// progress under way.
func (t *turn) overdue(r *refresh, c *census) bool {
	if t.now.Sub(r.Started) >= t.scaled(refreshLife) {
		return true
	}
	return t.now.Sub(r.Progress) >= t.scaled(patience) && c.warming == nil && c.ending == 0
}

// giveUp ends a refresh that cannot go on: with a rollback if it asked for
// one, else where it stands.
func (t *turn) giveUp(r *refresh, why string) {
	switch {
	case !r.forward():
		t.finishRefresh(r, types.InstanceRefreshStatusRollbackFailed, why)
	case *r.Preferences.AutoRollback:
		r.rollBack(why, t.now)
		t.changed = true
	default:
		t.finishRefresh(r, types.InstanceRefreshStatusFailed, why)
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
func (t *turn) complete(r *refresh) {
	bake := aws.ToInt32(r.Preferences.BakeTime)
	switch {
	case !r.forward():
		r.Percent = 0
		t.finishRefresh(r, types.InstanceRefreshStatusRollbackSuccessful, r.Reason)
	case bake > 0:
		r.BakeUntil = t.now.Add(t.seconds(bake))
		t.enterStatus(r, types.InstanceRefreshStatusBaking, "")
	default:
		t.succeed(r)
	}
}

func (t *turn) bake(r *refresh) {
	t.group.surge = 0
	if alarm := t.ringingAlarm(r); alarm != "" {
		t.giveUp(r, fmt.Sprintf("CloudWatch alarm %s is in ALARM state.", alarm))
		return
	}
	if !t.now.Before(r.BakeUntil) {
		t.succeed(r)
	}
}

// succeed makes the desired configuration the group's own: the only place
// where a refresh changes the group.
func (t *turn) succeed(r *refresh) {
	if r.Desired != nil {
		r.source(t.group).give(&t.group.Settings)
	}
	t.finishRefresh(r, types.InstanceRefreshStatusSuccessful, "")
}

func (t *turn) finishRefresh(r *refresh, status types.InstanceRefreshStatus, why string) {
	t.group.surge = 0
	r.Ended = t.now
	t.enterStatus(r, status, why)
}

// settle ends a cancellation, at once or when nothing is in transition.
func (t *turn) settle(r *refresh) {
	t.group.surge = 0
	if r.Settle {
		for _, n := range t.group.Nodes {
			if n.transitioning() {
				return
			}
		}
	}
	t.finishRefresh(r, types.InstanceRefreshStatusCancelled, r.Reason)
}
